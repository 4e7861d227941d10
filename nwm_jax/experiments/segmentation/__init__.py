"""Segmenting images by waves that integrate space (arXiv:2502.06034)."""

import functools

from nwm_jax.experiments.segmentation import configs, fields
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="segmentation",
    tasks={"segmentation": f"{__name__}.task:Segmentation"},
    configs=lambda: {
        name: functools.partial(configs.get_config, name)
        for name in configs.EXPERIMENTS
    },
    summary=lambda: f"one of {', '.join(configs.EXPERIMENTS)}",
    models=lambda: tuple(configs.MODELS),
    template=configs.template,
    fields=lambda: fields.FIELDS,
    presets=configs.PRESETS,
    short=configs.SHORT,
    check=fields.check,
    table=f"{__name__}.table:tabulate",
    boxes=f"{__name__}.table:draw_boxes",
)

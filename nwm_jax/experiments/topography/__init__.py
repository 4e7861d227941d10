"""Learning topographic maps and travelling waves: the variational NWM."""

import functools

from nwm_jax.experiments.topography import configs, fields
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="topography",
    tasks={"variational": f"{__name__}.task:Variational"},
    configs=lambda: {
        name: functools.partial(configs.get_config, name)
        for name in configs.EXPERIMENTS
    },
    summary=lambda: f"one of {', '.join(configs.EXPERIMENTS)}",
    models=lambda: tuple(configs.MODELS),
    template=configs.template,
    fields=lambda: fields.FIELDS,
    presets=configs.PRESETS,
    check=fields.check,
)

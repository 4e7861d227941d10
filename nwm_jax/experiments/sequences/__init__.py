"""Remembering long sequences: copying, adding, images read piece by piece."""

import functools

from nwm_jax.experiments.sequences import configs, fields
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="sequences",
    tasks={
        "copy": f"{__name__}.copy_memory:CopyMemory",
        "adding": f"{__name__}.adding:Adding",
        "classification": f"{__name__}.classification:Classification",
    },
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
)

"""Remembering long sequences: copying, adding, images read piece by piece."""

from nwm_jax.experiments.sequences import configs
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="sequences",
    tasks={
        "copy": f"{__name__}.copy_memory:CopyMemory",
        "adding": f"{__name__}.adding:Adding",
        "classification": f"{__name__}.classification:Classification",
    },
    configs=lambda: configs.CONFIGS,
    table=f"{__name__}.table:tabulate",
)

"""Learning topographic maps and travelling waves: the variational NWM."""

from nwm_jax.experiments.topography import configs
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="topography",
    tasks={"variational": f"{__name__}.task:Variational"},
    configs=lambda: configs.CONFIGS,
)

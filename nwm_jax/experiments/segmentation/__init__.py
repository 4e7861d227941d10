"""Segmenting images by waves that integrate space (arXiv:2502.06034)."""

from nwm_jax.experiments.segmentation import configs
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="segmentation",
    tasks={"segmentation": f"{__name__}.task:Segmentation"},
    configs=lambda: configs.CONFIGS,
    table=f"{__name__}.table:tabulate",
    boxes=f"{__name__}.table:draw_boxes",
)

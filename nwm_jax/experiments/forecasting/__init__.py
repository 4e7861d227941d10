"""Forecasting moving things from their images: the Hamiltonian benchmark."""

from nwm_jax.experiments.forecasting import configs
from nwm_jax.experiments.forecasting.own import register_dataset, register_model
from nwm_jax.training.registry import Experiment

__all__ = ["EXPERIMENT", "register_dataset", "register_model"]

EXPERIMENT = Experiment(
    name="forecasting",
    tasks={"forecasting": f"{__name__}.task:Forecasting"},
    configs=configs.definitions,
    summary=configs.summary,
    follow={"data.name": configs.follow_dataset},
    table=f"{__name__}.write:tabulate",
    errors=f"{__name__}.progress:draw",
    measures=("all", "relative_mse", "table_units", "vpt", "mse", "tuning"),
)

"""What to run: one folder for each experiment.

To import this package registers the experiments in `training.registry`; their models
and data are loaded when they are first used.
"""

from nwm_jax.experiments import forecasting, segmentation, sequences, topography
from nwm_jax.training import registry

for _experiment in (
    forecasting.EXPERIMENT,
    sequences.EXPERIMENT,
    segmentation.EXPERIMENT,
    topography.EXPERIMENT,
):
    registry.register(_experiment)

"""Neural Wave Machines and their relatives in JAX.

The layer, for your own model: `NWM2DCell`, `NWM1DCell`, `CoRNNCell` (Flax NNX). The
mathematics without a framework: `nwm_jax.core`. The benchmark: `python -m
nwm_jax.train`, `load` and `export`. The analysis of waves: `nwm_jax.waves`.
"""

__version__ = "0.1.0"

from nwm_jax import core, waves
from nwm_jax.errors import UserError
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules.autoencoder import Decoder, Encoder
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell
from nwm_jax.modules.gated import GRUCell
from nwm_jax.runs.opened import export, load

__all__ = [
    "CoRNNCell",
    "Decoder",
    "Encoder",
    "Forecaster",
    "GRUCell",
    "NWM1DCell",
    "NWM2DCell",
    "UserError",
    "core",
    "export",
    "load",
    "waves",
]

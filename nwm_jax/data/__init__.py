"""Datasets: physical systems, their simulation and drawing, windows for training.

Imports JAX and NumPy only. A task opens a `Source` and asks it for windows; everything
else here is what sources are made of.
"""

from nwm_jax.data.records import RecordsSource
from nwm_jax.data.source import FramesSource, SimulatedSource, Source, open_source
from nwm_jax.data.windows import eval_windows, train_windows

__all__ = [
    "FramesSource",
    "RecordsSource",
    "SimulatedSource",
    "Source",
    "eval_windows",
    "open_source",
    "train_windows",
]

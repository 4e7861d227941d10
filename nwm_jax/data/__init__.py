"""Datasets: physical systems, their simulation and drawing, windows for training.

A task opens a `Source` and asks it for windows; everything else here is what sources are
made of. It rests on JAX and NumPy, and for published files on Pillow, protobuf and
google-crc32c: on nothing else of this package that knows of models or training.
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

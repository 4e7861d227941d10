"""Datasets: physical systems, their simulation and drawing, windows for training.

A task opens a `Source` and asks it for windows; everything else here is what sources are
made of. It rests on JAX and NumPy, and for published files on Pillow, protobuf and
google-crc32c: on nothing else of this package that knows of models or training.
"""

from typing import TYPE_CHECKING, Any

from nwm_jax.data.source import FramesSource, SimulatedSource, Source, open_source
from nwm_jax.data.windows import eval_windows, train_windows

if TYPE_CHECKING:
    from nwm_jax.data.records import RecordsSource

__all__ = [
    "FramesSource",
    "RecordsSource",
    "SimulatedSource",
    "Source",
    "eval_windows",
    "open_source",
    "train_windows",
]


def __getattr__(name: str) -> Any:
    """Imports `RecordsSource` at its first use: other runs need no protobuf."""
    if name != "RecordsSource":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nwm_jax.data.records import RecordsSource

    return RecordsSource

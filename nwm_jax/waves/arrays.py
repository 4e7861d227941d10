"""What the files of this folder check and count alike: arrays, borders, blocks."""

import concurrent.futures
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from nwm_jax.errors import UserError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

BOUNDARIES = ("periodic", "open")

# Numbers of one block of work, 4 MB in double precision: larger ones leave the cache
# and are slower by half.
_BLOCK = 1 << 19


def as_real(x: np.ndarray, name: str) -> np.ndarray:
    """Returns `x` as an array of real numbers, in its own precision.

    Args:
      x: float, integer or boolean numbers of any shape.
      name: what an error message calls it.

    Raises:
      UserError: `x` is complex or not numeric.
    """
    x = np.asarray(x)
    if np.iscomplexobj(x):
        raise UserError(
            f"{name} needs real numbers and got complex ones: "
            "pass the recording itself (its real part)"
        )
    if x.dtype.kind not in "fiub":
        raise UserError(f"{name} needs real numbers and got dtype {x.dtype}")
    return x


def as_field(x: np.ndarray, name: str) -> np.ndarray:
    """Returns `x` as a real array [time, height, width] that is not empty.

    Raises:
      UserError: `x` is not real, or has another number of axes.
    """
    x = as_real(x, name)
    if x.ndim != 3 or not x.size:
        raise UserError(
            f"{name} needs an array [time, height, width] and the shape is {x.shape}"
        )
    return x


def as_signal(signal: np.ndarray, rank: int, shape: str) -> np.ndarray:
    """Returns a complex array of at least `rank` axes.

    Raises:
      UserError: the array is real, or has fewer axes; `shape` says what it should be.
    """
    signal = np.asarray(signal)
    if not np.iscomplexobj(signal):
        raise UserError(
            "a complex analytic signal is needed and the array is real: "
            "pass analytic_signal(x)"
        )
    if signal.ndim < rank:
        raise UserError(f"an array {shape} is needed and the shape is {signal.shape}")
    return signal


def as_vectors(velocity: np.ndarray) -> np.ndarray:
    """Returns a real array whose last axis holds (row, column).

    Raises:
      UserError: the last axis does not hold 2 real components.
    """
    velocity = np.asarray(velocity)
    if velocity.ndim < 1 or velocity.shape[-1] != 2 or np.iscomplexobj(velocity):
        raise UserError(
            "velocity needs a last axis of 2 real components (row, column) and has "
            f"shape {velocity.shape}"
        )
    return velocity


def boundary_pair(
    boundary: str | tuple[str, str], shape: tuple[int, int]
) -> tuple[str, str]:
    """Returns the boundary of the rows and that of the columns.

    Args:
      boundary: "periodic" or "open" for both axes, or a pair of these.
      shape: (H, W) of the sheet.

    Raises:
      UserError: an unknown word, or a periodic axis of two cells, whose two neighbours
        are the same cell.
    """
    kinds = (boundary,) * 2 if isinstance(boundary, str) else tuple(boundary)
    if len(kinds) != 2 or any(kind not in BOUNDARIES for kind in kinds):
        raise UserError(
            f"boundary {boundary!r} is not known: use 'periodic', 'open' or a pair of "
            "these for (rows, columns)"
        )
    for size, kind, name in zip(shape, kinds, ("rows", "columns"), strict=False):
        if size == 2 and kind == "periodic":
            raise UserError(
                f"2 {name} cannot be periodic (both neighbours are the same cell): "
                "use boundary='open'"
            )
    return kinds


def turn(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """The wrapped phase difference arg(later conj(earlier)), in (-pi, pi]."""
    return np.angle(later * np.conj(earlier))


def blocks(count: int, size: int) -> Iterator[slice]:
    """Yields slices of `range(count)` of which each covers about half a million numbers.

    Args:
      count: how many items there are (channels, or frames).
      size: how many numbers belong to one item.
    """
    yield from slices(count, size, _BLOCK)


def slices(count: int, size: int, numbers: int) -> Iterator[slice]:
    """Yields slices of `range(count)` of at most so many numbers, or of one item."""
    step = max(1, numbers // max(size, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def spread(count: int, most: int) -> np.ndarray:
    """Returns at most `most` indices of `range(count)`, evenly spread, in order."""
    if count <= most:
        return np.arange(count)
    return np.floor(np.arange(most) * (count / most)).astype(int)


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Yields what a function returns of each item, in order, one thread a core.

    The large operations of NumPy and SciPy run at the same time.

    Args:
      function: of one item; it may run on several at a time.
      items: few.
    """
    with concurrent.futures.ThreadPoolExecutor(
        max(1, len(os.sched_getaffinity(0)))
    ) as pool:
        yield from pool.map(function, items)


def temporary_array(
    shape: tuple[int, ...], folder: str | os.PathLike | None = None
) -> np.memmap:
    """Returns a complex64 memory map that vanishes when nothing holds it any more.

    Args:
      shape: of the array.
      folder: on whose disk it lies; None: that of the system.
    """
    disk = None if folder is None else pathlib.Path(folder)
    with tempfile.TemporaryFile(dir=disk) as file:  # it has no name
        return np.memmap(file, np.complex64, "w+", shape=shape)

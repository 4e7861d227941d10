"""Recordings in files: reading them, and saying what is wrong with them."""

import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.io
import scipy.io.matlab

from nwm_jax import files
from nwm_jax.errors import UserError, unknown

_SUFFIXES = (".npy", ".npz", ".mat")

# What the readers raise for a file that is torn or something else altogether.
_DAMAGED = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OSError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    scipy.io.matlab.MatReadError,
)


def load(path: str | os.PathLike, key: str = "", axes: int = 3) -> np.ndarray:
    """Reads an array from a .npy, .npz or .mat file; nothing in it is executed.

    Args:
      path: the file; a .npy is mapped into memory rather than read at once.
      key: which array of a .npz or .mat; not needed if only one has three axes.
      axes: how many axes the array is to have; of 3, [time, sites] will do too where
        there is no array of three.

    Returns:
      The array as it is in the file.

    Raises:
      UserError: no such file, another format, a damaged or pickled one, MATLAB's v7.3,
        no array `key`, or several that could be meant.
    """
    path = files.check_file(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(
            f"{path.name}: recordings are read from {', '.join(_SUFFIXES)} files: save "
            "it as one of these"
        )
    if suffix == ".npy":
        if key:
            raise UserError(f"--key={key}: a .npy file holds one array without a name")
        return files.open_array(path)
    if suffix == ".npz":
        arrays = files.read_npz(path, files.machine_memory())
    else:
        arrays = _matlab(path)
    return choose(arrays, key, path, axes)


def check_shape(recording: np.ndarray, positions: np.ndarray | None = None) -> None:
    """Checks the shape and the numbers of a recording.

    Args:
      recording: [T, H, W], or [T, N] with positions; time first.
      positions: [N, 2] or None.

    Raises:
      UserError: not real, other axes, or fewer than 4 frames.
    """
    if recording.dtype.kind not in "fiub":
        raise UserError(
            f"the recording must hold real numbers and its dtype is {recording.dtype}"
        )
    if recording.ndim != (3 if positions is None else 2) or not recording.size:
        raise UserError(
            "the recording must be an array [time, height, width], or [time, channels] "
            f"with positions, and its shape is {recording.shape}"
        )
    if len(recording) < 4:
        raise UserError(
            f"the recording has {len(recording)} frames (shape {recording.shape}): "
            "time comes first, and at least 4 frames are needed"
        )


def _matlab(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        result = scipy.io.loadmat(path)
    except NotImplementedError:
        raise UserError(
            f"{path.name} is a MATLAB v7.3 file, which is not supported: save it with "
            "save(..., '-v7')"
        ) from None
    except _DAMAGED as error:
        raise UserError(f"{path.name} is not a readable .mat file ({error})") from None
    return {name: value for name, value in result.items() if not name.startswith("__")}


def choose(arrays: Mapping[str, Any], key: str, path: pathlib.Path, axes: int) -> Any:
    """Returns the array of a file that is meant.

    Args:
      arrays: by name; anything with a shape and a dtype.
      key: the name; "" if there is only one of so many axes.
      path: of the file, for messages.
      axes: how many axes it has; of 3, 2 will do where there is no array of 3.

    Raises:
      UserError: no such array, or several.
    """
    if key:
        if key not in arrays:
            raise unknown(f"array in {path.name}", key, arrays)
        return arrays[key]
    shapes = {name: tuple(np.shape(value)) for name, value in arrays.items()}
    real = [name for name in arrays if np.dtype(_dtype(arrays[name])).kind in "fiub"]
    for wanted in (3, 2) if axes == 3 else (axes,):
        # An array of two axes with one row or column is a series, no recording.
        fits = [n for n in real if len(shapes[n]) == wanted and min(shapes[n]) > 1]
        fits = fits or [n for n in real if len(shapes[n]) == wanted == 3]
        named = [name for name in fits if name == "mask"] if axes == 2 else []
        if len(fits) == 1 or named:
            return arrays[(named or fits)[0]]
        if fits:
            raise UserError(
                f"{path.name} holds several arrays of {wanted} axes: choose one with "
                f"--key: {', '.join(fits)}"
            )
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise UserError(
        f"{path.name} holds no real array [time, height, width]: "
        f"{listed or 'it is empty'}"
    )


def _dtype(value: Any) -> Any:
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


def time_first(
    data: np.ndarray, time_axis: int | None = None
) -> tuple[np.ndarray, str | None]:
    """Returns an array of three axes with time first, and a warning or None.

    Without `time_axis` the sizes decide. Two sizes are alike if they differ by a factor
    of 2 at the most: sheets usually are. Time is axis 0 if the last two are alike and
    the first two are not; if only the first two are, the array may be MATLAB's
    [height, width, time] and is refused; else time is axis 0, with a warning.

    Args:
      data: three axes.
      time_axis: from -3 to 2, which decides; None: the sizes.

    Raises:
      UserError: no such axis, or an array that may be [height, width, time].
    """
    if time_axis is not None:
        if time_axis not in range(-3, 3):
            raise UserError(f"--time_axis={time_axis} is not there: 0, 1 or 2")
        return np.moveaxis(data, time_axis, 0), None
    a, b, c = data.shape
    sheet, turned = max(b, c) <= 2 * min(b, c), max(a, b) <= 2 * min(a, b)
    if sheet and not turned:
        return data, None
    if turned and not sheet:
        raise UserError(
            f"the shape {data.shape} can be {a} frames of {b} x {c} channels "
            f"(--time_axis=0) or {c} frames of {a} x {b} (--time_axis=2): say which"
        )
    return data, (
        f"the shape {data.shape} is read as {a} frames of {b} x {c} channels; if time "
        "is another axis say --time_axis"
    )

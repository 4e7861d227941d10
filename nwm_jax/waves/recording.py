"""Recordings in files: reading them, and saying what is wrong with them."""

import os
import pathlib
import struct
import zipfile
import zlib

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


def load(path: str | os.PathLike, key: str = "") -> np.ndarray:
    """Reads an array from a .npy, .npz or .mat file; nothing in it is executed.

    Args:
      path: the file; a .npy is mapped into memory rather than read at once.
      key: which array of a .npz or .mat; not needed if only one has three axes.

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
        return _numpy(path)
    arrays = _numpy(path) if suffix == ".npz" else _matlab(path)
    return _choose(arrays, key, path)


def check(recording: np.ndarray) -> np.ndarray:
    """Checks that a recording can be analysed, channel by channel.

    A channel that is NaN at all times is a missing one, and welcome.

    Args:
      recording: [T, H, W], time first.

    Returns:
      bool [H, W]: which channels are missing.

    Raises:
      UserError: not a real [T, H, W] of at least 4 frames, channels with some values
        that are not finite, constant channels, or no channel at all.
    """
    if recording.dtype.kind not in "fiub":
        raise UserError(
            f"the recording must hold real numbers and its dtype is {recording.dtype}"
        )
    if recording.ndim != 3 or not recording.size:
        raise UserError(
            "the recording must be an array [time, height, width] and its shape is "
            f"{recording.shape}"
        )
    if len(recording) < 4:
        raise UserError(
            f"the recording has {len(recording)} frames (shape {recording.shape}): "
            "time comes first, and at least 4 frames are needed"
        )
    finite = np.zeros(recording.shape[1:], int)
    for frame in recording:
        finite += np.isfinite(frame)
    missing = finite == 0
    broken = ~missing & (finite < len(recording))
    if broken.any():
        i, j = np.argwhere(broken)[0]
        raise UserError(
            f"{broken.sum()} channel(s) hold NaN or infinity at some times only, the "
            f"first at row {i}, column {j} ({len(recording) - finite[i, j]} of "
            f"{len(recording)}): interpolate them, or make all of the channel NaN to "
            "leave it out"
        )
    if missing.all():
        raise UserError("every channel of the recording is NaN: nothing to analyse")
    constant = ~missing & (recording.max(axis=0) == recording.min(axis=0))
    if constant.any():
        i, j = np.argwhere(constant)[0]
        raise UserError(
            f"{constant.sum()} channel(s) are constant and have no phase, the first at "
            f"row {i}, column {j}: make all of the channel NaN to leave it out"
        )
    return missing


def _numpy(path: pathlib.Path) -> np.ndarray | dict[str, np.ndarray]:
    if path.suffix.lower() == ".npz":
        return files.read_npz(path, files.machine_memory())
    return files.open_array(path)


def _matlab(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        found = scipy.io.loadmat(path)
    except NotImplementedError:
        raise UserError(
            f"{path.name} is a MATLAB v7.3 file, which is not supported: save it with "
            "save(..., '-v7')"
        ) from None
    except _DAMAGED as error:
        raise UserError(f"{path.name} is not a readable .mat file ({error})") from None
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _choose(arrays: dict[str, np.ndarray], key: str, path: pathlib.Path) -> np.ndarray:
    if key:
        if key not in arrays:
            raise unknown(f"array in {path.name}", key, arrays)
        return np.asarray(arrays[key])
    candidates = {
        name: value
        for name, value in arrays.items()
        if np.ndim(value) == 3 and np.asarray(value).dtype.kind in "fiub"
    }
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if candidates:
        raise UserError(
            f"{path.name} holds several arrays of three axes: choose one with --key: "
            f"{', '.join(candidates)}"
        )
    shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in arrays.items())
    raise UserError(
        f"{path.name} holds no real array [time, height, width]: "
        f"{shapes or 'it is empty'}"
    )

"""Recordings in files of any format: read, with what the format says of its axes."""

import os
import pathlib
import re

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves import lab_formats, recording
from nwm_jax.waves.lab_formats import Recording, library

TIFF = (".tif", ".tiff")


def read(
    path: str | os.PathLike,
    key: str = "",
    *,
    shape: tuple[int, ...] | None = None,
    dtype: str | None = None,
) -> Recording:
    """Reads a recording; nothing in the file is executed.

    Args:
      path: a .npy, .npz, .mat (v5 or v7.3), multi-page .tif or .nwb file, a folder of
        .tif files of one frame each (in natural order: 2 before 10), with `shape` and
        `dtype` a raw binary one, or a file that neo reads.
      key: which array or series of a file that holds several.
      shape: of a raw binary file, slowest axis first.
      dtype: of a raw binary file, such as "int16" or ">f4".

    Returns:
      A `Recording`. Large .npy and raw files are mapped into memory, not read.

    Raises:
      UserError: no such file, a damaged one, a format that is not known, a library that
        is not installed (`EXTRA` names the command), or no array that could be meant.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if shape is not None or dtype is not None:
        return Recording(_raw(path, shape, dtype))
    suffix = path.suffix.lower()
    if path.is_dir():
        return _folder(path)
    if suffix in (".npy", ".npz"):
        return Recording(recording.load(path, key))
    if suffix == ".mat":
        return Recording(matlab(path, key))
    if suffix in TIFF:
        return Recording(tiff(path), ordered=True)
    if suffix == ".nwb":
        return lab_formats.read_nwb(path, key)
    return lab_formats.read_neo(path, key)


def natural(name: str) -> list:
    """A key that sorts frame_2 before frame_10."""
    return [int(p) if p.isdigit() else p.lower() for p in re.split(r"(\d+)", name)]


def _raw(path: pathlib.Path, shape, dtype) -> np.ndarray:
    if shape is None or dtype is None:
        raise UserError("a raw binary file needs both --shape and --dtype")
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise UserError(f"--dtype={dtype} is not known: such as int16 or >f4") from None
    if kind.kind not in "fiu" or any(size < 1 for size in shape):
        raise UserError(
            f"--shape={','.join(map(str, shape))} --dtype={dtype}: sizes must be "
            "positive and numbers real"
        )
    size, wanted = path.stat().st_size, int(np.prod(shape)) * kind.itemsize
    if size != wanted:
        raise UserError(
            f"{path.name} has {size:,} bytes, and --shape={','.join(map(str, shape))} "
            f"of {kind} takes {wanted:,}"
        )
    return np.memmap(path, kind, "r", shape=tuple(shape))


def _folder(path: pathlib.Path) -> Recording:
    names = [file.name for file in path.iterdir() if file.suffix.lower() in TIFF]
    if not names:
        raise UserError(f"{path} holds no .tif files")
    names.sort(key=natural)
    frames = [tiff(path / name) for name in names]
    shapes = {frame.shape for frame in frames}
    if len(shapes) > 1 or frames[0].ndim != 2:
        result = ", ".join(sorted(map(str, shapes)))
        raise UserError(f"{path}: the .tif files are not frames of one size: {result}")
    return Recording(np.stack(frames), ordered=True)


def tiff(path: pathlib.Path) -> np.ndarray:
    """Reads the first series of a TIFF file."""
    tifffile = library("tifffile")
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axes, data = series.axes, series.asarray()
    except (tifffile.TiffFileError, ValueError, OSError, LookupError) as error:
        raise UserError(f"{path.name} is not a readable TIFF ({error})") from None
    if "S" in axes:
        raise UserError(f"{path.name} is in colour (axes {axes}): save it in grey")
    return np.squeeze(data) if data.ndim > 3 else data


def matlab(path: pathlib.Path, key: str, axes: int = 3) -> np.ndarray:
    """Reads an array of a MATLAB file of any version."""
    with open(path, "rb") as file:
        head = file.read(128)
    if head[:10] != b"MATLAB 7.3":
        return recording.load(path, key, axes)
    h5py = library("h5py")
    try:
        with h5py.File(path, "r") as file:
            arrays = {
                name: value
                for name, value in file.items()
                if isinstance(value, h5py.Dataset) and value.dtype.kind in "fiub"
            }
            chosen = recording.choose(arrays, key, path, axes)
            # MATLAB writes the first axis fastest, and HDF5 has it last.
            return np.asarray(chosen[()]).T
    except OSError as error:
        raise UserError(f"{path.name} is not a readable .mat file ({error})") from None

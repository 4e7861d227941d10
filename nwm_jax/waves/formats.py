"""Recordings in files of any format: read, with what the format says of its axes."""

import importlib
import json
import os
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.errors import UserError, unknown
from nwm_jax.waves import recording

EXTRA = "pip install 'nwm_jax[recordings]'"

_TIFF = (".tif", ".tiff")
_NWB_SERIES = (
    *("ElectricalSeries", "ImageSeries"),
    *("OnePhotonSeries", "TwoPhotonSeries", "ImagingSeries"),
)
_TEXT = (".csv", ".tsv", ".txt")
# Readers of these run what the file says.
_PICKLED = (".pkl", ".pickle")


class Recording(NamedTuple):
    """What a file holds.

    Attributes:
      data: [T, H, W] or [T, N] if `ordered`, else axes in the order of the file.
      ordered: whether the format says which axis is time; it is first then.
      fs: samples per second; None where the format does not say.
      positions: [N, 2], (row, column) of the channels of [T, N]; None where it does not
        say.
      unit: of the positions; "" where they have none.
    """

    data: np.ndarray
    ordered: bool = False
    fs: float | None = None
    positions: np.ndarray | None = None
    unit: str = ""


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
        return Recording(_matlab(path, key))
    if suffix in _TIFF:
        return Recording(_tiff(path), ordered=True)
    if suffix == ".nwb":
        return _nwb(path, key)
    return _neo(path, key)


def read_positions(path: str | os.PathLike) -> np.ndarray:
    """Reads the places of channels: float64 [N, 2], (row, column).

    Args:
      path: a .csv with two columns (a heading is welcome: row and column in any order,
        or x and y, y being the row), a .json list of pairs (alone or as "sites" or
        "positions"), or a .npy [N, 2].

    Raises:
      UserError: no such file, or none of these.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"--positions: {path} does not exist or is not a file")
    try:
        if path.suffix.lower() == ".npy":
            pairs = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".json":
            pairs = json.loads(path.read_text())
            if isinstance(pairs, dict):
                pairs = pairs.get("sites", pairs.get("positions"))
        elif path.suffix.lower() in _TEXT:
            pairs = _table(path.read_text())
        else:
            raise UserError(f"--positions: {path.name} is not .csv, .json or .npy")
        pairs = np.asarray(pairs, float)
    except UserError:
        raise
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise UserError(f"--positions: {path.name} is not readable ({error})") from None
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise UserError(
            f"--positions: {path.name} must hold a row and a column of each channel, "
            f"[channels, 2], and has shape {pairs.shape}"
        )
    return pairs


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Reads a mask: bool [H, W], True where the recording is to be analysed.

    Args:
      path: a .npy, .mat, .tif or .png whose array is not 0 inside.

    Raises:
      UserError: no such file, a format that is not known, or not two axes.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"--mask: {path} does not exist or is not a file")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        mask = recording.load(path)
    elif suffix == ".mat":
        mask = _matlab(path, "", axes=2)
    elif suffix in _TIFF:
        mask = _tiff(path)
    elif suffix == ".png":
        mask = _picture(path)
    else:
        raise UserError(f"--mask: {path.name} is not .npy, .mat, .tif or .png")
    mask = np.squeeze(np.asarray(mask))
    if mask.ndim != 2 or mask.dtype.kind not in "fiub":
        raise UserError(f"--mask: {path.name} must be [height, width]: {mask.shape}")
    return np.nan_to_num(mask) != 0


def as_recording(data: Any) -> Recording:
    """Returns what an array, an xarray.DataArray or a neo object holds.

    Args:
      data: an array [T, H, W] or [T, N]; a DataArray with a dimension "time", "t" or
        "frame" and, for [T, N], coordinates "row" and "column" or "y" and "x" along the
        other; a neo AnalogSignal [T, N] or ImageSequence [T, H, W].

    Returns:
      A `Recording`, time first.

    Raises:
      UserError: a DataArray without such a dimension.
    """
    if hasattr(data, "dims") and hasattr(data, "coords"):
        return _xarray(data)
    if hasattr(data, "sampling_rate") and hasattr(data, "magnitude"):
        return _signal(data)
    return Recording(np.asarray(data), ordered=True)


def library(name: str) -> Any:
    """Imports a library of the extra `recordings`.

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"this file needs {name.partition('.')[0]}, which is not installed: {EXTRA}"
        ) from None


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
    names = [file.name for file in path.iterdir() if file.suffix.lower() in _TIFF]
    if not names:
        raise UserError(f"{path} holds no .tif files")
    names.sort(key=natural)
    frames = [_tiff(path / name) for name in names]
    shapes = {frame.shape for frame in frames}
    if len(shapes) > 1 or frames[0].ndim != 2:
        found = ", ".join(sorted(map(str, shapes)))
        raise UserError(f"{path}: the .tif files are not frames of one size: {found}")
    return Recording(np.stack(frames), ordered=True)


def _tiff(path: pathlib.Path) -> np.ndarray:
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


def _picture(path: pathlib.Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UserError(f"{path.name} is not a readable picture ({error})") from None


def _matlab(path: pathlib.Path, key: str, axes: int = 3) -> np.ndarray:
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


def _table(content: str) -> np.ndarray:
    """Numbers of a table with two columns, by the names of its heading."""
    lines = [line for line in content.replace("\t", ",").splitlines() if line.strip()]
    split = "," if "," in lines[0] else None
    rows = [[cell.strip() for cell in line.split(split)] for line in lines]
    names = [cell.lower() for cell in rows[0]]
    for pair in (("row", "column"), ("row", "col"), ("y", "x")):
        if all(name in names for name in pair):
            at = [names.index(name) for name in pair]
            return np.array([[float(row[k]) for k in at] for row in rows[1:]])
    return np.array([[float(cell) for cell in row] for row in rows])


def _nwb(path: pathlib.Path, key: str) -> Recording:
    pynwb = library("pynwb")
    try:
        file = pynwb.NWBHDF5IO(path, "r")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path.name} is not a readable NWB file ({error})") from None
    with file:
        series = {
            item.name: item
            for item in file.read().objects.values()
            if type(item).__name__ in _NWB_SERIES
        }
        if not series:
            raise UserError(
                f"{path.name} holds no ElectricalSeries, ImageSeries or imaging series"
            )
        if key and key not in series:
            raise unknown(f"series in {path.name}", key, series)
        if not key and len(series) > 1:
            raise UserError(
                f"{path.name} holds several series: choose one with --key: "
                f"{', '.join(sorted(series))}"
            )
        item = series[key or next(iter(series))]
        fs = item.rate
        if fs is None and item.timestamps is not None:
            times = np.asarray(item.timestamps[:2])
            fs = 1 / float(times[1] - times[0]) if len(times) == 2 else None
        data = np.asarray(item.data[()])
        positions, unit = None, ""
        if hasattr(item, "electrodes"):
            data = data[:, None] if data.ndim == 1 else data
            positions, unit = _electrodes(item.electrodes)
        return Recording(data, True, fs, positions, unit)


def _electrodes(region: Any) -> tuple[np.ndarray | None, str]:
    """Places (y, x) of the electrodes of a series: in the unit of the file."""
    table, rows = region.table, np.asarray(region.data[:])
    for x, y in (("rel_x", "rel_y"), ("x", "y")):
        if x in table.colnames and y in table.colnames:
            places = np.stack([np.asarray(table[y][:]), np.asarray(table[x][:])], 1)
            places = places[rows].astype(float)
            if np.isfinite(places).all() and len(np.unique(places, axis=0)) > 1:
                return places, "um"  # NWB: micrometres
    return None, ""


def _neo(path: pathlib.Path, key: str) -> Recording:
    if path.suffix.lower() in _PICKLED:
        raise UserError(f"{path.name} is pickled, and pickles are not read")
    known = ".npy, .npz, .mat, .tif, .nwb, a folder of .tif, raw with --shape --dtype"
    neo = library("neo.io")
    candidates = [
        reader
        for reader in neo.list_candidate_ios(path)
        if reader.__name__ not in ("PickleIO", "NeoMatlabIO") and reader.is_readable
    ]
    signals = {}
    for reader in candidates:
        try:
            blocks = reader(str(path)).read(lazy=False)
        except Exception:  # noqa: BLE001, S112
            continue
        for segment in [part for block in blocks for part in block.segments]:
            for item in [*segment.analogsignals, *segment.imagesequences]:
                signals[item.name or f"signal {len(signals)}"] = item
        break
    if not signals:
        raise UserError(
            f"{path.name} is no recording that is known: {known}, or what neo reads"
        )
    if key and key not in signals:
        raise unknown(f"signal in {path.name}", key, signals)
    kinds = {
        (np.shape(item), str(getattr(item, "sampling_rate", None)))
        for item in signals.values()
    }
    if not key and len(signals) > 1 and len(kinds) == 1:
        (shape, _) = next(iter(kinds))
        if len(shape) == 2 and shape[1] == 1:  # a signal for every channel
            parts = [_signal(item) for item in signals.values()]
            return parts[0]._replace(data=np.hstack([part.data for part in parts]))
    if not key and len(signals) > 1:
        raise UserError(
            f"{path.name} holds several signals: choose one with --key: "
            f"{', '.join(signals)}"
        )
    return _signal(signals[key or next(iter(signals))])


def _signal(item: Any) -> Recording:
    """What an AnalogSignal or an ImageSequence of neo holds."""
    rate = item.sampling_rate
    fs = float(rate.rescale("Hz").magnitude) if rate is not None else None
    return Recording(np.asarray(item.magnitude), True, fs)


def _xarray(data: Any) -> Recording:
    names = [str(name) for name in data.dims]
    times = [name for name in names if name.lower() in ("time", "t", "frame")]
    if len(times) != 1 or data.ndim not in (2, 3):
        raise UserError(
            "a DataArray needs a dimension time (or t, or frame) and one or two more: "
            f"{', '.join(names)}"
        )
    rest = [name for name in names if name != times[0]]
    values = data.transpose(times[0], *rest).values
    fs, positions = None, None
    if times[0] in data.coords and len(data[times[0]]) > 1:
        step = np.diff(data[times[0]].values[:2])[0]
        step = step / np.timedelta64(1, "s") if step.dtype.kind == "m" else step
        fs = 1 / float(step) if step > 0 else None
    if len(rest) == 1:
        for pair in (("row", "column"), ("y", "x")):
            if all(name in data.coords for name in pair):
                positions = np.stack([data[name].values for name in pair], axis=1)
                positions = positions.astype(float)
                break
    return Recording(values, True, fs, positions)

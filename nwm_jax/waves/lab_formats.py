"""Recordings in the formats and the objects of laboratories: NWB, neo, xarray."""

import importlib
import pathlib
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.errors import UserError, unknown

EXTRA = "pip install 'nwm_jax[recordings]'"

_NWB_SERIES = (
    *("ElectricalSeries", "ImageSeries"),
    *("OnePhotonSeries", "TwoPhotonSeries", "ImagingSeries"),
)
# Readers of these run what the file says.
_PICKLED = (".pkl", ".pickle")
# Readers of neo that are not asked: of pickles; of .mat files, which have a reader here;
# of .pl2 files, for which it downloads a program and runs that; of bytes that say nothing
# of themselves, for which it makes up channels and a rate.
_NOT_ASKED = ("PickleIO", "NeoMatlabIO", "Plexon2IO", "RawBinarySignalIO")


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


def read_nwb(path: pathlib.Path, key: str) -> Recording:
    """Reads an ElectricalSeries, ImageSeries or imaging series of an NWB file."""
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


def read_neo(path: pathlib.Path, key: str) -> Recording:
    """Reads a signal or an image sequence of a file that neo reads."""
    if path.suffix.lower() in _PICKLED:
        raise UserError(f"{path.name} is pickled, and pickles are not read")
    known = ".npy, .npz, .mat, .tif, .nwb, a folder of .tif, raw with --shape --dtype"
    neo = library("neo.io")
    candidates = [
        reader
        for reader in neo.list_candidate_ios(path)
        if reader.__name__ not in _NOT_ASKED and reader.is_readable
    ]
    signals: dict[str, Any] = {}
    for reader in candidates:
        try:
            blocks = reader(str(path)).read(lazy=False)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112
            # On foreign files these readers raise what they happen to: of 0.14 one raises
            # a plain Exception, others SyntaxError, AssertionError, struct.error, ...
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

"""Analyses the waves of a recording: python -m nwm_jax.analyse recording.npy --out=...

The recording is an array [time, height, width] in a .npy, .npz, .mat (v5 and v7.3) or
multi-page TIFF file, a folder of TIFFs, a raw binary file (--shape, --dtype), an NWB
file or one that neo reads; or [time, channels] with --positions. Channels that are NaN
throughout are missing ones. The folder --out gets the numbers (waves.json), tables of
waves and critical points (waves.csv, critical_points.csv), pictures, an animation
(waves.webp) and all of them on one page (report.html).
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

import pathlib
import time

import numpy as np
from absl import flags

from nwm_jax import files
from nwm_jax._version import __version__
from nwm_jax.errors import UserError
from nwm_jax.figures import recording as pictures
from nwm_jax.figures import recording_report
from nwm_jax.shell import cli
from nwm_jax.shell.progress import duration
from nwm_jax.waves import (
    analysis,
    describe,
    formats,
    lab_formats,
    prepare,
    recording,
    side_files,
)
from nwm_jax.waves.arrays import BOUNDARIES
from nwm_jax.waves.filters import check_band
from nwm_jax.waves.pipeline import SETTINGS

_BASELINE = 20.0  # percentile
_EVERY = 2.0  # seconds between lines of progress

FLAGS = flags.FlagValues()


class _OptionalNumber(flags.ArgumentParser):
    """Reads --dff, --nodff and --dff=10."""

    def parse(self, argument):
        if argument in ("true", True):
            return _BASELINE
        if argument in ("false", False, None):
            return None
        return float(argument)

    def flag_type(self) -> str:
        return "number"


def _define(kind, name, default, text, *rest):
    return getattr(flags, f"DEFINE_{kind}")(
        name, default, *rest, text, flag_values=FLAGS
    )


OUT = flags.DEFINE_string(
    "out", None, "folder to write", required=True, flag_values=FLAGS
)
FS = _define(
    "float",
    "fs",
    None,
    "samples per second (default: what the file says, else 1 per frame)",
)
BAND = _define(
    "list",
    "band",
    None,
    "low,high: the band-pass, in the unit of --fs, such as 5,40 (default: no filter)",
)
PHASE = _define(
    "enum",
    "phase",
    "generalized",
    "generalized: zero-phase filter, epochs of negative frequency interpolated; "
    "original: as in the NWM experiments, causal filter and plain analytic signal",
    list(SETTINGS),
)
BOUNDARY = _define(
    "enum",
    "boundary",
    "open",
    "open: a sheet with edges; periodic: a torus, as most hidden states are",
    list(BOUNDARIES),
)
KEY = _define("string", "key", "", "which array or series of a file with several")
TIME_AXIS = _define(
    "integer",
    "time_axis",
    None,
    "which axis is time: 2 for [height, width, time], as often in MATLAB (default: what "
    "the format says, or the one whose size is unlike the two others)",
)
SHAPE = _define("list", "shape", None, "sizes of a raw binary file, slowest axis first")
DTYPE = _define("string", "dtype", None, "numbers of a raw binary file, such as int16")
POSITIONS = _define(
    "string",
    "positions",
    None,
    "csv, json or npy with (row, column) of each channel of [time, channels]",
)
SPACING = _define(
    "float",
    "spacing",
    None,
    "millimetres from a cell to the next (or per unit of --positions): speeds are in "
    "mm/s then (default: cells)",
)
MASK = _define(
    "string",
    "mask",
    None,
    "npy, png, tif or mat that is not 0 where the recording is to be analysed; auto: "
    "where a movie is bright",
)
BAD = _define(
    "enum",
    "bad",
    None,
    "what becomes of channels that are partly NaN, flat or clipped (default: refuse, "
    "except clipped ones, which are named)",
    list(prepare.POLICIES),
)
DFF = flags.DEFINE(
    _OptionalNumber(),
    "dff",
    None,
    f"(F - F0) / F0 for imaging, F0 the percentile (--dff is --dff={_BASELINE:g}) of "
    "each pixel over time",
    flag_values=FLAGS,
)
SMOOTH = _define("float", "smooth", 0.0, "a Gaussian of so many cells over the sheet")
BIN = _define("integer", "bin", 1, "means over squares of so many cells a side")
DETREND = _define("bool", "detrend", False, "take the straight line out of channels")
NOTCH = _define(
    "float", "notch", None, "take out a frequency and its multiples, such as 50"
)
SKIP = _define(
    "float",
    "skip",
    0.0,
    "what is left out at either end after filtering, in seconds (frames without --fs)",
)
SURROGATES = _define(
    "integer",
    "surrogates",
    0,
    "surrogates of the tests; 0: not tested; 199 is a good number",
)
SEED = _define("integer", "seed", 0, "of surrogates and bootstrap")

FLAGS["dff"].boolean = True  # may stand alone


def main(argv: list[str]) -> None:
    """Runs the verb."""
    if len(argv) != 2:
        raise UserError(
            "give one recording: python -m nwm_jax.analyse FILE --out=FOLDER"
        )
    began = time.perf_counter()
    path, folder = pathlib.Path(argv[1]), pathlib.Path(OUT.value)
    if SURROGATES.value < 0:
        raise UserError(f"--surrogates={SURROGATES.value} is negative: 0 tests nothing")
    source = formats.read(path, KEY.value, shape=_sizes(SHAPE.value), dtype=DTYPE.value)
    fs = FS.value if FS.value is not None else source.fs
    units = describe.Units(
        "frame" if fs is None else "s", "cell" if SPACING.value is None else "mm"
    )
    fs = 1.0 if fs is None else fs
    if not fs > 0:
        raise UserError(f"--fs is samples per second and must be positive: {fs:g}")
    band = check_band(BAND.value, fs) if BAND.value is not None else None
    if SPACING.value is not None and not SPACING.value > 0:
        raise UserError(f"--spacing must be positive: {SPACING.value:g}")
    data, positions, spacing, units, notes = _layout(source, units)
    recording.check_shape(data, positions)
    mask = MASK.value
    if mask not in (None, "auto"):
        mask = side_files.read_mask(mask)
    steps = prepare.Steps(
        mask,
        DFF.value,
        BAD.value,
        BIN.value,
        SMOOTH.value,
        DETREND.value,
        NOTCH.value,
    )
    shape = " x ".join(map(str, data.shape[1:]))
    print(f"{path.name}: {len(data):,} frames of {shape} channels", flush=True)
    analysed = analysis.analyse(
        data,
        fs=fs,
        band=band,
        setting=PHASE.value,
        boundary=BOUNDARY.value,
        positions=positions,
        spacing=spacing,
        steps=steps,
        skip=SKIP.value,
        num_surrogates=SURROGATES.value,
        seed=SEED.value,
        units=units,
        # Long signals lie on the disk of --out, which need not be there yet.
        folder=next(place for place in folder.absolute().parents if place.is_dir()),
        progress=_Progress(),
    )
    analysed.result["notes"] = notes + analysed.result["notes"]
    settings = {name: FLAGS[name].value for name in FLAGS if name in _SETTINGS} | {
        "fs": fs,
        "band": band,
        "nwm_jax": __version__,
    }
    size = {"path": str(path), "shape": list(data.shape)}
    content = {"recording": size, "settings": settings} | analysed.result
    missing = analysed.result["statistics"]["missing"]
    print(f"{len(analysed.sites.index)} channels are analysed, {missing} missing")
    for line in analysed.result["notes"]:
        print(f"  {line}")
    drawn = pictures.draw(folder, analysed, fs=fs, boundary=BOUNDARY.value, units=units)
    written = files.write_json(folder / "waves.json", content)
    tables = [
        files.write_atomic(
            folder / "waves.csv",
            describe.waves_table(
                analysed.fronts, analysed.p_value, analysed.q_value, units
            ),
        )
    ]
    if analysed.points is not None:
        tables.append(
            files.write_atomic(
                folder / "critical_points.csv",
                describe.points_table(analysed.points, fs, analysed.sites.cell, units),
            )
        )
    page = recording_report.write(folder / "report.html", content, drawn, tables[0])
    for name in ("statistics", "fronts", "spectrum", "significance"):
        print(f"{name}:")
        for line in describe.lines(content[name], content["units"]):
            print(f"  {line}")
    for line in content["warnings"]:
        print(f"warning: {line}")
    print(f"pictures: {', '.join(str(picture) for picture in drawn)}")
    print(f"tables: {', '.join(map(str, tables))}; all on one page: {page}")
    print(f"numbers: {written} ({time.perf_counter() - began:.1f} s)")


_SETTINGS = (
    *("phase", "boundary", "time_axis", "mask", "bad", "dff", "smooth", "bin"),
    *("detrend", "notch", "skip", "spacing", "positions", "surrogates", "seed"),
)


class _Progress:
    """Prints how far a long step is, now and then."""

    def __init__(self) -> None:
        self._what, self._began, self._last = "", 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._began, self._last = what, now, now
        if now - self._last >= _EVERY:
            left = (now - self._began) * (total - done) / max(done, 1)
            print(f"{what} {done:,}/{total:,}  ETA {duration(left)}", flush=True)
            self._last = now


def _layout(source: lab_formats.Recording, units: describe.Units):
    """Returns data with time first, positions, spacing, units, and lines to print."""
    data, notes = source.data, []
    if data.ndim == 3:
        if TIME_AXIS.value is not None or not source.ordered:
            data, note = recording.time_first(data, TIME_AXIS.value)
            notes += [note] if note else []
        if POSITIONS.value is not None:
            raise UserError(
                f"--positions go with [time, channels], and the shape is {data.shape}"
            )
        return data, None, SPACING.value, units, notes
    if data.ndim != 2:
        return data, None, SPACING.value, units, notes  # refused by `check_shape`
    if TIME_AXIS.value is not None:
        if TIME_AXIS.value not in range(-2, 2):
            raise UserError(f"--time_axis={TIME_AXIS.value} is not there: 0 or 1")
        data = np.moveaxis(data, TIME_AXIS.value, 0)
    positions, spacing = source.positions, SPACING.value
    if POSITIONS.value is not None:
        positions = side_files.read_positions(POSITIONS.value)
    elif positions is not None and source.unit == "um":
        # The places are in micrometres.
        spacing = 1e-3 if spacing is None else spacing
        units = units._replace(length="mm")
    if positions is None:
        raise UserError(
            f"the recording is an array of shape {data.shape}: [time, height, width] is "
            "needed, or [time, channels] with the places of the channels in --positions"
        )
    if len(positions) == len(data) != data.shape[1] and TIME_AXIS.value is None:
        data = data.T
    if len(positions) != data.shape[1]:
        raise UserError(
            f"{len(positions)} positions and {data.shape[1]} channels (shape "
            f"{data.shape})"
        )
    return data, positions, spacing, units, notes


def _sizes(values: list[str] | None) -> tuple[int, ...] | None:
    if values is None:
        return None
    try:
        return tuple(int(value) for value in values)
    except ValueError:
        raise UserError(
            f"--shape={','.join(values)} must be whole numbers, such as 1000,10,10"
        ) from None


if __name__ == "__main__":
    cli.run(main, FLAGS, positional=True)

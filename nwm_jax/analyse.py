"""Analyses the waves of a recording: python -m nwm_jax.waves recording.npy --out=...

The recording is an array [time, height, width] in a .npy, .npz or .mat file; channels
that are NaN throughout are missing ones. The folder --out gets the numbers (waves.json)
and the pictures snapshots.png, space_time.png, directions.png and spectrum.png.
"""

import pathlib
import time

import numpy as np
from absl import flags

from nwm_jax import files
from nwm_jax._version import __version__
from nwm_jax.errors import UserError
from nwm_jax.figures import recording as pictures
from nwm_jax.shell import cli
from nwm_jax.waves import recording
from nwm_jax.waves.arrays import BOUNDARIES
from nwm_jax.waves.coherence import direction_coherence
from nwm_jax.waves.filters import check_band, z_score
from nwm_jax.waves.fronts import Fronts, find_fronts
from nwm_jax.waves.pipeline import SETTINGS, wave_signal
from nwm_jax.waves.spectrum import Spectrum, space_time_spectrum
from nwm_jax.waves.summary import signal_statistics

_SHUFFLES = 19
_STRAIGHT = 0.5  # of the goodness of a wave front
_SEGMENT, _SEGMENT_PERIODS = 256, 4

FLAGS = flags.FlagValues()
OUT = flags.DEFINE_string(
    "out", None, "folder to write", required=True, flag_values=FLAGS
)
FS = flags.DEFINE_float(
    "fs", 1.0, "samples per unit of time, such as 1000 for Hz", flag_values=FLAGS
)
BAND = flags.DEFINE_list(
    "band",
    None,
    "low,high: the band-pass, in the unit of --fs, such as 5,40 (default: no filter)",
    flag_values=FLAGS,
)
PHASE = flags.DEFINE_enum(
    "phase",
    "generalized",
    list(SETTINGS),
    "generalized: zero-phase filter, epochs of negative frequency interpolated; "
    "original: as in the NWM experiments, causal filter and plain analytic signal",
    flag_values=FLAGS,
)
BOUNDARY = flags.DEFINE_enum(
    "boundary",
    "open",
    list(BOUNDARIES),
    "open: a sheet with edges; periodic: a torus, as most hidden states are",
    flag_values=FLAGS,
)
KEY = flags.DEFINE_string(
    "key", "", "which array of a .npz or .mat that holds several", flag_values=FLAGS
)
TIME_AXIS = flags.DEFINE_integer(
    "time_axis",
    0,
    "which axis is time: 2 for [height, width, time], as often in MATLAB",
    flag_values=FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs the verb."""
    if len(argv) != 2:
        raise UserError("give one recording: python -m nwm_jax.waves FILE --out=FOLDER")
    began = time.perf_counter()
    path, folder = pathlib.Path(argv[1]), pathlib.Path(OUT.value)
    band = check_band(BAND.value, FS.value) if BAND.value is not None else None
    field = recording.load(path, KEY.value)
    if field.ndim == 3 and TIME_AXIS.value in range(-3, 3):
        field = np.moveaxis(field, TIME_AXIS.value, 0)
    elif field.ndim == 3:
        raise UserError(f"--time_axis={TIME_AXIS.value} is not there: 0, 1 or 2")
    missing = recording.check(field)
    length, height, width = field.shape
    print(
        f"{path.name}: {length:,} frames of {height} x {width} channels, "
        f"{missing.sum()} missing",
        flush=True,
    )
    signal = wave_signal(field, band=band, fs=FS.value, setting=PHASE.value)
    numbers = signal_statistics(signal, fs=FS.value, boundary=BOUNDARY.value)
    fronts = find_fronts(signal, fs=FS.value)
    segment = _SEGMENT
    if band is not None:
        segment = max(segment, int(np.ceil(_SEGMENT_PERIODS * FS.value / band[0])))
    spectrum = space_time_spectrum(
        z_score(field),
        fs=FS.value,
        band=band,
        segment=segment,
        num_shuffles=_SHUFFLES,
    )
    result = {
        "recording": {"path": str(path), "shape": [length, height, width]},
        "settings": {
            "fs": FS.value,
            "band": band,
            "phase": PHASE.value,
            "boundary": BOUNDARY.value,
            "nwm_jax": __version__,
        },
        "statistics": numbers,
        "fronts": _describe_fronts(fronts, length / FS.value),
        "spectrum": _describe_spectrum(spectrum),
    }
    drawn = pictures.draw(
        folder, signal, spectrum, fs=FS.value, boundary=BOUNDARY.value
    )
    written = files.write_json(folder / "waves.json", result)
    for name, value in numbers.items():
        print(f"  {name:22} {_text(value)}")
    for name in ("fronts", "spectrum"):
        print(f"  {name:22} {_text(result[name])}")
    print(f"pictures: {', '.join(str(picture) for picture in drawn)}")
    print(f"numbers: {written} ({time.perf_counter() - began:.1f} s)")


def _describe_fronts(fronts: Fronts, duration: float) -> dict[str, float | None]:
    """Numbers of the fronts that are nearly straight; others have no one velocity."""
    straight = fronts.goodness >= _STRAIGHT
    some = bool(straight.any())
    velocity = fronts.velocity[straight]
    return {
        "count": len(fronts.time),
        "straight": int(straight.sum()),
        "straight_per_unit_time": float(straight.sum() / duration),
        "median_speed": float(np.median(fronts.speed[straight])) if some else None,
        "direction_coherence": float(direction_coherence(velocity)) if some else None,
    }


def _describe_spectrum(
    spectrum: Spectrum,
) -> dict[str, float | list[float] | int | None]:
    frequency, wave_vector = spectrum.peak()
    number = float(np.hypot(*wave_vector))
    return {
        "peak_frequency": frequency,
        "peak_wave_vector": wave_vector.tolist(),
        "peak_wavelength": 2 * np.pi / number if number else None,
        "p_value": spectrum.p_value,
        "num_shuffles": _SHUFFLES,
    }


def _text(value: object) -> str:
    """A value for the screen, with four digits."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(_text(part) for part in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    cli.run(main, FLAGS, positional=True)

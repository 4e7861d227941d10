"""Numbers of an analysis with their names and units: for waves.json and the tables."""

import csv
import io
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.waves.coherence import direction_coherence
from nwm_jax.waves.critical import KINDS, CriticalPoints
from nwm_jax.waves.fronts import CLASSES, Fronts
from nwm_jax.waves.sites import Sites
from nwm_jax.waves.spectrum import NULL, Spectrum
from nwm_jax.waves.velocity import direction

#: What stands where tests were not asked for.
UNTESTED: dict[str, Any] = {
    name: {"p_value": None, "null": "not tested (--surrogates=0)", "surrogates": 0}
    for name in ("travelling_index", "momentary_coherence")
}

_FOUND = 0.05  # of false discoveries
_NORMAL = 1.96


class Units(NamedTuple):
    """Names of the units of a recording.

    Attributes:
      time: "s", or "frame" where the sampling rate is not known.
      length: such as "mm"; "cell" where the spacing is not known.
    """

    time: str = "frame"
    length: str = "cell"

    @property
    def frequency(self) -> str:
        """Of cycles per unit of time."""
        return "Hz" if self.time == "s" else f"cycles/{self.time}"

    @property
    def lengths(self) -> str:
        """The plural of the unit of length."""
        return "cells" if self.length == "cell" else self.length

    @property
    def speed(self) -> str:
        """Of lengths per unit of time."""
        return f"{self.lengths}/{self.time}"

    @property
    def number(self) -> str:
        """Of wave numbers."""
        return f"rad/{self.length}"


def names(units: Units) -> dict[str, str]:
    """Returns the unit of every number of waves.json that has one."""
    by_unit = {
        units.frequency: ("frequency", "peak_frequency", "frequency_bin"),
        units.number: (
            *("velocity", "wave_number", "gradient_wave_number"),
            *("peak_wave_vector", "bin_width"),
        ),
        units.lengths: (
            *("wavelength", "spatial_length", "peak_wavelength", "longest_wavelength"),
            *("source", "smoothed_over"),
        ),
        units.speed: (
            *("speed", "speed_interval", "gradient_speed"),
            *("median_speed", "median_speed_radial"),
        ),
        "rad": ("direction",),
        units.time: ("temporal_length", "median_life"),
        f"1/{units.time}": ("straight_per_unit_time",),
        "1/min": ("waves_per_minute",),
    }
    return {name: unit for unit, group in by_unit.items() for name in group}


def of_fronts(
    fronts: Fronts, duration: float, q_value: np.ndarray, units: Units
) -> dict[str, Any]:
    """Returns the numbers of the waves of a recording.

    Args:
      fronts: the waves.
      duration: of the recording, units of time.
      q_value: [n], NaN where not tested.
      units: of time and length.

    Returns:
      count, by_class, straight (plane waves), median_speed (of these), ...; None where
      there is no answer.
    """
    plane, radial = fronts.kind == "plane", fronts.kind == "radial"
    velocity = fronts.velocity[plane]
    coherence = float(direction_coherence(velocity)) if plane.any() else None
    numbers = {
        "count": len(fronts.time),
        "by_class": {name: int((fronts.kind == name).sum()) for name in CLASSES},
        "straight": int(plane.sum()),
        "straight_per_unit_time": float(plane.sum() / duration),
        "median_speed": _median(fronts.speed[plane]),
        "median_speed_radial": _median(fronts.speed[radial]),
        "direction_coherence": coherence,
        "source": np.median(fronts.center[radial], axis=0).tolist()
        if radial.any()
        else None,
        "significant": int((q_value <= _FOUND).sum())
        if np.isfinite(q_value).any()
        else None,
    }
    if units.time == "s":
        numbers["waves_per_minute"] = 60 * len(fronts.time) / duration
    return numbers


def of_spectrum(
    spectrum: Spectrum, sites: Sites, shuffles: int, units: Units
) -> dict[str, Any]:
    """Returns the numbers of a spectrum; of grids in the unit of length of the sites."""
    cell = 1.0 if sites.shape is None else sites.cell
    frequency, wave_vector = spectrum.peak()
    number = float(np.hypot(*wave_vector)) / cell
    longest = spectrum.longest * cell
    at_least = spectrum.at_least()
    wavelength = 2 * np.pi / number if number else None
    sides = (spectrum.rows, spectrum.columns)
    steps = spectrum.frequency
    return {
        "peak_frequency": frequency,
        "frequency_bin": float(steps[1] - steps[0]) if len(steps) > 1 else frequency,
        "peak_wave_vector": None if at_least else (wave_vector / cell).tolist(),
        "peak_wavelength": longest if at_least else wavelength,
        "peak_is_at_least": at_least,
        "wavelength_note": f"at least {longest:.4g} {units.lengths}"
        if at_least
        else f"{wavelength:.4g} {units.lengths}",
        "longest_wavelength": longest,
        "bin_width": [
            float(side[1] - side[0]) / cell if len(side) > 1 else None for side in sides
        ],
        "p_value": spectrum.p_value,
        "null": NULL,
        "num_shuffles": shuffles,
    }


def of_points(
    points: CriticalPoints | None, frames: int, fs: float
) -> dict[str, Any] | None:
    """Returns how many critical points there were, and how long they lived."""
    if points is None:
        return None
    numbers: dict[str, Any] = {"frames": frames}
    for kind in KINDS:
        lives = points.frames[points.kind == kind] / fs
        numbers[kind] = {
            "count": len(lives),
            "mean_number": float(lives.sum() * fs / frames),
            "median_life": _median(lives),
        }
    return numbers


def lines(numbers: dict[str, Any], units: dict[str, str]) -> list[str]:
    """Returns the lines of the screen: name, value with four digits, unit."""
    return [
        f"{name:22} {text(value)} {units.get(name, '')}".rstrip()
        for name, value in numbers.items()
    ]


def text(value: Any) -> str:
    """Returns a value with four digits; "-" where there is none."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(text(part) for part in value) + "]"
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def waves_table(
    fronts: Fronts, p_value: np.ndarray, q_value: np.ndarray, units: Units
) -> str:
    """Returns waves.csv: one row a wave, units in the heading."""
    heading = [
        "wave",
        f"start ({units.time})",
        f"duration ({units.time})",
        "class",
        f"source row ({units.lengths})",
        f"source column ({units.lengths})",
        "direction (rad)",
        f"speed ({units.speed})",
        f"speed low ({units.speed})",
        f"speed high ({units.speed})",
        "goodness",
        "goodness of a plane",
        "sites",
        "amplitude (sd)",
        "p value",
        "q value",
    ]
    way = direction(fronts.velocity)
    rows = []
    for k, kind in enumerate(fronts.kind):
        moves = kind in ("plane", "radial")
        speed = fronts.speed[k] if moves else np.nan
        error = _NORMAL * fronts.speed_error[k] / speed**2  # of the slowness
        low, slow = 1 / (1 / speed + error), 1 / speed - error
        # The source of a sink is where its waves end: the class says which it is.
        name = kind
        if kind == "radial":
            name = "radial source" if fronts.outward[k] > 0 else "radial sink"
        rows.append(
            [
                k + 1,
                fronts.start[k],
                fronts.duration[k],
                name,
                *fronts.center[k],
                way[k] if kind == "plane" else np.nan,
                speed,
                low,
                _inverse(slow),
                fronts.fit[k],
                fronts.goodness[k],
                int(fronts.cells[k]),
                fronts.amplitude[k],
                p_value[k],
                q_value[k],
            ]
        )
    return _csv(heading, rows)


def points_table(points: CriticalPoints, fs: float, cell: float, units: Units) -> str:
    """Returns critical_points.csv: one row a point, units in the heading."""
    heading = [
        "kind",
        f"start ({units.time})",
        f"life ({units.time})",
        f"row ({units.lengths})",
        f"column ({units.lengths})",
    ]
    rows = [
        [kind, start / fs, frames / fs, *(place * cell)]
        for kind, start, frames, place in zip(*points, strict=False)
    ]
    return _csv(heading, rows)


def _csv(heading: list[str], rows: list[list]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heading)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return file.getvalue()


def _cell(value: Any) -> Any:
    """A cell of a table: six digits, empty where there is no answer."""
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if not np.isnan(value) else ""
    return value


def _inverse(slowness: float) -> float:
    """The speed; infinite where the slowness may be 0."""
    return np.nan if np.isnan(slowness) else 1 / slowness if slowness > 0 else np.inf


def _median(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None

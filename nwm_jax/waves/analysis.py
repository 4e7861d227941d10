"""The whole analysis of a recording: from its array to numbers with their units."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves import describe, pieces, prepare, surrogates
from nwm_jax.waves.critical import CriticalPoints, find_critical_points
from nwm_jax.waves.cycles import measure_cycles
from nwm_jax.waves.filters import z_score
from nwm_jax.waves.fronts import Fronts, flatten, front_smoothing, fronts_of
from nwm_jax.waves.pipeline import plain_signal, wave_signal
from nwm_jax.waves.sites import Sites, grid_sites, scaled, scattered_sites, smoothing
from nwm_jax.waves.spectrum import Spectrum, space_time_spectrum
from nwm_jax.waves.summary import site_statistics

_SHUFFLES = 19
_SEGMENT, _SEGMENT_PERIODS = 256, 4
_MOST_SEGMENTS = 64
_POINT_FRAMES = 2048  # consecutive ones, from the middle, for critical points
_POINT_SHARE = 16  # of the array: critical points of what is smoother than that
_NEAR_NYQUIST = 0.4  # of the sampling rate
_SHARED = 0.5  # of the power of neighbours: below it the speed is a little too low

_NO_STEPS = prepare.Steps()
_PLAIN_UNITS = describe.Units()


class Analysis(NamedTuple):
    """What an analysis found.

    Attributes:
      signal: complex [T, N] of the channels that are there.
      sites: their places, in the unit of length of `result["units"]`.
      fronts: the waves.
      p_value, q_value: [n] of the waves; NaN where they were not tested.
      points: critical points; None for scattered sites.
      spectrum: power by frequency and wave vector.
      result: what waves.json holds.
    """

    signal: np.ndarray
    sites: Sites
    fronts: Fronts
    p_value: np.ndarray
    q_value: np.ndarray
    points: CriticalPoints | None
    spectrum: Spectrum
    result: dict[str, Any]


def analyse(
    data: np.ndarray,
    *,
    fs: float = 1.0,
    band: tuple[float, float] | None = None,
    setting: str = "generalized",
    boundary: str = "open",
    positions: np.ndarray | None = None,
    spacing: float | None = None,
    steps: prepare.Steps = _NO_STEPS,
    skip: float = 0.0,
    num_surrogates: int = 0,
    seed: int = 0,
    units: describe.Units = _PLAIN_UNITS,
    folder: Any = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Analysis:
    """Analyses a recording: statistics, waves, spectrum, critical points, tests.

    Args:
      data: real [T, H, W], or [T, N] with `positions`; not changed. Recordings of more
        than 16 million samples are processed in pieces (`pieces.piecewise_signal`).
      fs: samples per unit of time.
      band: (low, high) of the band-pass, in the unit of `fs`; None: not filtered.
      setting: of `wave_signal`.
      boundary: "open" or "periodic".
      positions: [N, 2], (row, column).
      spacing: length of a cell, or of a unit of the positions; None: 1.
      steps: what is done before (`prepare`).
      skip: how much is left out at either end after filtering, in units of time.
      num_surrogates: of the tests (`surrogates.significance`); 0: not tested.
      seed: of surrogates and bootstrap.
      units: names of the units of time and length.
      folder: for the temporary file of a long recording.
      progress: called with (what, done, total).

    Returns:
      An `Analysis`.

    Raises:
      UserError: as the functions that it calls.
    """
    plan = prepare.plan(data, steps, positions=positions)
    length = len(data)
    skipped = round(skip * fs)
    if skip < 0 or 2 * skipped > length - 4:
        raise UserError(
            f"--skip={skip:g} of {length / fs:g} at either end: at least 4 frames must "
            "be left"
        )
    inner = slice(skipped, length - skipped)
    whole = data[0].size * length <= pieces.WHOLE
    plain = None
    if whole:
        ready = prepare.apply(plan, np.asarray(data), fs=fs)
        shape = ready.shape[1:]
        sheet = ready if ready.ndim == 3 else ready[:, None]
        options: dict[str, Any] = {"band": band, "fs": fs, "setting": setting}
        signal = wave_signal(sheet, **options)[inner].reshape(-1, *shape)
        if num_surrogates:
            plain = plain_signal(sheet, **options)[inner].reshape(-1, *shape)
        signal, sites = _on_sites(signal, positions, boundary)
    else:
        options = {"fs": fs, "band": band, "setting": setting, "folder": folder}
        signal = pieces.piecewise_signal(
            data,
            plan,
            progress=lambda done, total: progress("signal", done, total),
            **options,
        )[inner]
        if num_surrogates:
            plain = pieces.piecewise_signal(data, plan, interpolated=False, **options)
            plain = plain[inner]
        first = prepare.apply(plan, np.asarray(data[:4]), fs=fs)
        shape = first.shape[1:]
        sites = _sites(np.isfinite(first).all(axis=0), positions, boundary)
    if len(sites.index) < 2:
        raise UserError(f"{len(sites.index)} channel(s) with a signal: 2 are needed")
    sites = scaled(sites, (spacing or 1.0) * (steps.bin if positions is None else 1))
    cycles = measure_cycles(signal, sites)
    numbers = site_statistics(
        signal, sites, fs=fs, boundary=boundary, seed=seed, cycles=cycles
    )
    # Fronts and critical points are those of a sheet: a torus is cut at its border.
    sheet_sites = sites
    if boundary == "periodic":
        there = np.zeros(shape, bool)
        there.ravel()[sites.index] = True
        sheet_sites = scaled(grid_sites(there), sites.cell)
    scale = front_smoothing(cycles, sheet_sites)
    fronts = fronts_of(signal, sheet_sites, fs=fs, scale=scale)
    tests: dict[str, dict] = {}
    p_value = None
    if plain is not None:
        tests, p_value = surrogates.significance(
            flatten(plain, positions)[0] if whole else plain,
            sheet_sites,
            num_surrogates,
            seed=seed,
            own=signal,
            folder=folder,
            generalized=setting == "generalized",
            fronts=fronts,
            fs=fs,
            scale=scale,
            progress=lambda done, total: progress("surrogates", done, total),
        )
    untested = np.full(len(fronts.time), np.nan)
    q_value = untested if p_value is None else surrogates.false_discoveries(p_value)
    p_value = untested if p_value is None else p_value
    spectrum = _spectrum(data, plan, sites, fs, band, boundary, shape)
    points = None
    if sites.shape is not None and min(sites.shape) > 1:
        start = max(0, (len(signal) - _POINT_FRAMES) // 2)
        some = np.asarray(signal[start : start + _POINT_FRAMES])
        wide = max(scale, sheet_sites.extent / _POINT_SHARE)
        smooth = smoothing(sheet_sites, wide)
        points = find_critical_points(smooth(some), sheet_sites)
        points = points._replace(start=points.start + start)
    frames = {"frames": len(signal), "height": shape[0], "width": (*shape, 1)[1]}
    frames["skipped"] = skipped
    sizes = frames | {"missing": int(np.prod(shape)) - len(sites.index)}
    duration = len(signal) / fs
    analysed = Analysis(
        signal, sites, fronts, p_value, q_value, points, spectrum, result={}
    )
    watched = min(len(signal), _POINT_FRAMES)
    analysed.result.update(
        {
            "statistics": sizes | numbers,
            "fronts": describe.of_fronts(fronts, duration, q_value, units)
            | {"smoothed_over": scale},
            "spectrum": describe.of_spectrum(spectrum, sites, _SHUFFLES, units),
            "critical_points": describe.of_points(points, watched, fs),
            "significance": tests or describe.UNTESTED,
            "units": describe.names(units),
            "notes": plan.notes,
            "warnings": _warnings(numbers, spectrum, fs, band, setting, units),
        }
    )
    return analysed


def _on_sites(signal, positions, boundary) -> tuple[np.ndarray, Sites]:
    """The signal [T, N] of the channels that have one, and their places."""
    there = np.isfinite(signal[0])
    sites = _sites(there, positions, boundary)
    flat = signal.reshape(len(signal), -1)
    return (flat if there.all() else flat[:, there.ravel()]), sites


def _sites(there, positions, boundary) -> Sites:
    if positions is None:
        return grid_sites(there, boundary=boundary)
    index = np.flatnonzero(there)
    return scattered_sites(np.asarray(positions, float)[there])._replace(index=index)


def _spectrum(data, plan, sites, fs, band, boundary, shape) -> Spectrum:
    """The spectrum of z-scored segments, evenly spread over a long record."""
    segment = _SEGMENT
    if band is not None:
        segment = max(segment, int(np.ceil(_SEGMENT_PERIODS * fs / band[0])))
    length = len(data)
    if length > 2 * _MOST_SEGMENTS * segment:  # enough: a part for every segment
        starts = np.linspace(0, length - segment, _MOST_SEGMENTS).astype(int)
        data = np.concatenate([data[a : a + segment] for a in starts])
    ready = prepare.apply(plan, np.asarray(data), fs=fs)
    options = {"fs": fs, "band": band, "segment": segment, "num_shuffles": _SHUFFLES}
    flat = z_score(ready).reshape(len(ready), -1)
    if sites.shape is None:
        flat = flat[:, sites.index]
        return space_time_spectrum(flat, positions=sites.position, **options)
    return space_time_spectrum(
        flat.reshape(len(flat), *shape), boundary=boundary, **options
    )


def _warnings(numbers, spectrum, fs, band, setting, units) -> list[str]:
    """What a reader of the numbers should know."""
    lines = []
    if band is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            power = spectrum.power.sum(axis=(1, 2))
            power = power * spectrum.frequency  # of 1/f noise every octave is alike
        peak = float(spectrum.frequency[np.argmax(power)])
        low, high = peak / 2, min(2 * peak, 0.45 * fs)
        lines.append(
            "no --band: phases are those of all frequencies at once, the travelling "
            "index of slow drifts is near 1 and 1/f noise may look like waves; power x "
            f"frequency is highest at {peak:.3g} {units.frequency}: consider "
            f"--band={low:.3g},{high:.3g}"
        )
    frequency = numbers["frequency"]
    if frequency is not None and frequency > _NEAR_NYQUIST * fs:
        lines.append(
            f"the frequency {frequency:.3g} is near the Nyquist frequency {fs / 2:g}: "
            "a phase that turns by nearly half a circle from a frame to the next may "
            "run backwards, and directions with it"
        )
    goodness = numbers["speed_goodness"]
    if goodness is not None and goodness < _SHARED:
        lines.append(
            f"neighbours share only {goodness:.0%} of their power as waves: the speed "
            "is uncertain and may be a few percent too low"
        )
    return lines

"""The few numbers that describe the waves of a field."""

import warnings

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_field, boundary_pair, spread
from nwm_jax.waves.coherence import direction_coherence, gradient_coherence, synchrony
from nwm_jax.waves.correlation import (
    correlation_length,
    scattered_autocorrelation,
    spatial_autocorrelation,
    temporal_autocorrelation,
)
from nwm_jax.waves.cycles import Cycles, measure_cycles
from nwm_jax.waves.pipeline import wave_signal
from nwm_jax.waves.plane_wave import fit_plane_wave
from nwm_jax.waves.singularities import triangle_winding, winding_number
from nwm_jax.waves.sites import (
    Sites,
    grid_sites,
    on_sheet,
    scattered_sites,
    site_velocity,
)
from nwm_jax.waves.speed import headline
from nwm_jax.waves.travelling import travelling_index
from nwm_jax.waves.velocity import direction, phase_speed, temporal_frequency

_MOST_FRAMES = 2048
_MOST_LAGS = 1 << 17  # frames for the correlation over time, from the middle,
_MOST_COURSES = 1 << 21  # of as many sites as make so many numbers
_MIN_WAVE_NUMBER = 1e-3  # radians per spacing, as in `phase_speed`


def statistics(
    field: np.ndarray,
    *,
    fs: float = 1.0,
    band: tuple[float, float] | None = None,
    setting: str = "generalized",
    boundary: str | tuple[str, str] = "periodic",
    rings: bool = False,
    skip: int = 0,
) -> dict[str, float | int | list[float | None] | None]:
    """Returns the numbers that describe the waves of a field.

    Args:
      field: real [T, H, W], any unit: a recording, or one channel of a hidden state.
      fs: samples per unit of time; 1: times are frames.
      band: (low, high) of the band-pass, in the unit of `fs`; None: not filtered.
      setting: of `wave_signal`: "generalized" or "original".
      boundary: "periodic", "open" or a pair for (rows, columns).
      rings: whether the rows are separate rings (or lines), whose only neighbours are
        in the row: what compares rows is then left out.
      skip: frames to leave out at the start, after filtering: the first period of a
        causal filter, or of a hidden state that is still settling.

    Returns:
      What `signal_statistics` returns.

    Raises:
      UserError: as `wave_signal`, or `skip` leaves fewer than 4 frames.
    """
    field = as_field(field, "statistics")
    signal = wave_signal(field, band=band, fs=fs, setting=setting)
    if not 0 <= skip <= len(field) - 4:
        raise UserError(f"skip={skip} of {len(field)} frames: at least 4 must be left")
    return signal_statistics(signal[skip:], fs=fs, boundary=boundary, rings=rings)


def signal_statistics(
    signal: np.ndarray,
    *,
    fs: float = 1.0,
    boundary: str | tuple[str, str] = "periodic",
    rings: bool = False,
    positions: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, float | int | list[float | None] | None]:
    """Returns the numbers that describe the waves of a complex signal.

    Args:
      signal: complex [T, H, W], T >= 4, from `wave_signal`; or [T, N] with
        `positions`. Numbers over space are of at most 2,048 frames, evenly spread.
      fs: samples per unit of time.
      boundary: as in `statistics`.
      rings: as in `statistics`.
      positions: [N, 2], (row, column) of scattered sites; lengths are in their unit
        instead of cells, and `boundary` and `rings` do not matter.
      seed: of the bootstrap of the interval.

    Returns:
      Numbers that JSON can hold, None where there is no answer. The headline is from
      the cross spectra of neighbours (`cycles.measure_cycles`): noise that is
      independent from site to site does not shift it, nor does the distance of sites.
        frames, height, width, missing: sizes; sites that have no signal.
        frequency: median frequency of the cycles, in the unit of `fs`.
        velocity: mean wave vector over cycles, [row, column], radians per cell.
        direction: its angle, radians (`waves.direction`).
        wave_number, wavelength: median over cycles, radians per cell and cells.
        speed: median phase speed over cycles, cells per unit of time.
        speed_interval: [low, high] of 95 %, by a block bootstrap over cycles; None for
          fewer than 16 cycles.
        speed_goodness: the part of their power that neighbours share as a wave of this
          speed, in [0, 1].
      From the phase gradient of every site and frame:
        gradient_speed, gradient_wave_number: medians. Noise adds to the gradient, so
          that the speed is too low in noisy or finely sampled recordings.
        coherence: of the directions of the time-averaged nu, in [0, 1]: do all sites
          agree on the way that waves go on average.
        one_sided_coherence: the same, kept for files of earlier versions (the gradient
          has been one-sided since).
        momentary_coherence: mean over frames of the coherence over sites, in [0, 1].
        gradient_coherence: mean over frames of |mean nu| / mean |nu|, in [0, 1].
        plane_wave: mean over frames of the goodness of the best plane wave, in [0, 1].
        travelling_index: in [0, 1] (`waves.travelling_index`), of the signal as it is:
          `wave_signal` brings every site to the same variance.
        synchrony: mean over frames of the order parameter, in [0, 1].
        singular_fraction: part of the 2 x 2 squares (of scattered sites: the triangles
          between neighbours) that hold a singularity, in [0, 1].
        spatial_length, temporal_length: where the autocorrelation of the real part
          falls to 1/e, cells and units of time.

    Raises:
      UserError: `signal` is not such an array with at least 4 frames, `fs` is not
        positive, or a mistake in the boundary.
    """
    signal = np.asarray(signal)
    rank = 3 if positions is None else 2
    if signal.ndim != rank or not np.iscomplexobj(signal) or len(signal) < 4:
        raise UserError(
            "statistics need a complex [time, height, width] (or [time, sites] with "
            f"positions) of at least 4 frames and got {signal.dtype} of shape "
            f"{signal.shape}"
        )
    if not fs > 0:
        raise UserError(f"fs is samples per unit of time and must be positive: {fs!r}")
    flat = signal.reshape(len(signal), -1)
    there = np.isfinite(flat).all(axis=0)
    if positions is not None:
        if not there.sum() >= 2:
            raise UserError(f"{there.sum()} channel(s) with a signal: 2 are needed")
        sites = scattered_sites(np.asarray(positions, float)[there])
        sites = sites._replace(index=np.flatnonzero(there))
        boundary, rings = "open", False
    else:
        boundary = (boundary, boundary) if isinstance(boundary, str) else boundary
        boundary = ("open", *boundary[1:]) if rings else boundary
        sites = grid_sites(
            there.reshape(signal.shape[1:]), boundary=boundary, rings=rings
        )
    flat = flat if there.all() else flat[:, there]
    numbers = site_statistics(
        flat, sites, fs=fs, boundary=boundary, rings=rings, seed=seed
    )
    shape = signal.shape[1:] if positions is None else (signal.shape[1], 1)
    sizes = {"frames": len(signal), "height": shape[0], "width": shape[1]}
    return sizes | {"missing": int(there.size - there.sum())} | numbers


def site_statistics(
    signal: np.ndarray,
    sites: Sites,
    *,
    fs: float,
    boundary: str | tuple[str, str] = "open",
    rings: bool = False,
    seed: int = 0,
    cycles: Cycles | None = None,
) -> dict[str, float | list[float | None] | None]:
    """Returns the numbers of `signal_statistics` of a signal of sites.

    Args:
      signal: complex [T, N], no NaN; a memory map is read in parts.
      sites: the N places.
      fs, boundary, rings, seed: as in `signal_statistics`.
      cycles: from `measure_cycles`; None: they are measured here.

    Returns:
      As `signal_statistics`, without the sizes.
    """
    if cycles is None and len(sites.edges):
        cycles = measure_cycles(signal, sites)
    numbers = _headline(cycles, fs, sites, seed)
    numbers |= _over_space(signal, sites, fs, boundary, rings)
    return {name: _plain(value) for name, value in numbers.items()}


def _headline(cycles: Cycles | None, fs: float, sites: Sites, seed: int) -> dict:
    """The numbers of the cross spectra."""
    if cycles is None:
        names = ("frequency", "direction", "wave_number", "wavelength", "speed")
        none = dict.fromkeys((*names, "speed_goodness"), np.nan)
        return none | {"velocity": np.full(2, np.nan), "speed_interval": np.nan}
    estimate = headline(cycles, fs=fs, spacing=sites.spacing, seed=seed)
    waves = estimate.wave_number * sites.spacing >= _MIN_WAVE_NUMBER
    interval = np.array(estimate.interval)
    return {
        "frequency": estimate.frequency,
        "velocity": estimate.wave_vector,
        "direction": direction(estimate.wave_vector) if waves else np.nan,
        "wave_number": estimate.wave_number,
        "wavelength": 2 * np.pi / estimate.wave_number if waves else np.nan,
        "speed": estimate.speed,
        "speed_interval": interval if np.isfinite(interval).all() else np.nan,
        "speed_goodness": estimate.goodness,
    }


def _over_space(signal, sites, fs, boundary, rings) -> dict:
    """The numbers of the phase maps of single frames."""
    frames = spread(len(signal), _MOST_FRAMES)
    some = np.asarray(signal[frames])
    omega = _frequency(signal, frames)
    velocity = site_velocity(some, sites)  # [T, N, 2]
    # Sites in synchrony differ by roundings, which have a direction but no meaning.
    number = np.hypot(velocity[..., 0], velocity[..., 1])
    least = _MIN_WAVE_NUMBER / sites.spacing
    velocity[number < least] = 0
    rows = np.zeros(len(sites.index), int)
    if rings and len(rows):  # every row is a sheet of its own
        rows = sites.position[:, 0].astype(int)
    groups = [rows == row for row in np.unique(rows)]
    with warnings.catch_warnings():
        # The mean of nothing is NaN, and None in the result.
        warnings.simplefilter("ignore", RuntimeWarning)
        average = np.nanmean(velocity, axis=0, dtype=np.float64)
        coherence = direction_coherence(np.asarray(average))
        speed = phase_speed(omega, velocity, min_wave_number=least)
        charge: np.ndarray | float
        if sites.shape is None:
            charge = triangle_winding(some, sites.position)
            plane = fit_plane_wave(some, sites.position).goodness
            lags = scattered_autocorrelation(some.real, sites.position)
            in_step = synchrony(some, axis=-1)
        else:
            sheets = on_sheet(some, sites)
            # Rings are sheets of one row each: every function takes leading axes.
            sheets = sheets[:, :, None] if rings else sheets
            boundary_pair(boundary, sheets.shape[-2:])
            charge = np.nan if rings else winding_number(sheets, boundary=boundary)
            plane = fit_plane_wave(sheets).goodness
            lags = spatial_autocorrelation(
                sheets.real.reshape((-1, *sheets.shape[-2:])), boundary=boundary
            )
            in_step = synchrony(sheets)
        start = (len(signal) - min(len(signal), _MOST_LAGS)) // 2
        few = spread(
            signal.shape[1], max(1, _MOST_COURSES // min(len(signal), _MOST_LAGS))
        )
        course = np.asarray(signal[start : start + _MOST_LAGS, few].real)[:, None]
        decay = temporal_autocorrelation(course) if course.size else np.full(1, np.nan)
        return {
            "gradient_speed": np.nanmedian(np.abs(speed)) * fs,
            "gradient_wave_number": np.nanmedian(number),
            "coherence": coherence,
            "one_sided_coherence": coherence,
            "momentary_coherence": _mean_of(direction_coherence, velocity, groups),
            "gradient_coherence": _mean_of(gradient_coherence, velocity, groups),
            "plane_wave": np.nanmean(plane),
            "travelling_index": travelling_index(signal),
            "synchrony": np.nanmean(in_step),
            "singular_fraction": np.nanmean(np.abs(charge)),
            "spatial_length": correlation_length(
                lags.distance * (1.0 if sites.shape is None else sites.cell),
                lags.radial,
            ),
            "temporal_length": correlation_length(np.arange(len(decay)) / fs, decay),
        }


def _frequency(signal: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The temporal frequency at some frames, as `temporal_frequency` has it at all."""
    last = len(signal) - 1
    three = np.stack([np.maximum(frames - 1, 0), frames, np.minimum(frames + 1, last)])
    omega = temporal_frequency(np.asarray(signal[three]))[1]
    ends = (frames == 0) | (frames == last)
    omega[ends] *= 2  # one of the two steps was none
    return omega


def _mean_of(measure, velocity: np.ndarray, groups: list[np.ndarray]) -> float:
    """The mean over frames and groups of sites of a coherence over the sites."""
    return np.nanmean([measure(velocity[:, group], 1) for group in groups])


def _plain(value: np.ndarray | float) -> float | list[float | None] | None:
    """A number, or a list of numbers, that JSON can hold."""
    if isinstance(value, np.ndarray) and value.ndim:
        return [float(part) if np.isfinite(part) else None for part in value]
    return float(value) if np.isfinite(value) else None

"""The few numbers that describe the waves of a field."""

import warnings

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_field, boundary_pair, spread
from nwm_jax.waves.coherence import direction_coherence, gradient_coherence, synchrony
from nwm_jax.waves.correlation import (
    correlation_length,
    spatial_autocorrelation,
    temporal_autocorrelation,
)
from nwm_jax.waves.pipeline import wave_signal
from nwm_jax.waves.plane_wave import fit_plane_wave
from nwm_jax.waves.singularities import winding_number
from nwm_jax.waves.travelling import travelling_index
from nwm_jax.waves.velocity import (
    direction,
    phase_speed,
    temporal_frequency,
    wave_velocity,
)

_MOST_FRAMES = 2048
_MIN_WAVE_NUMBER = 1e-3  # radians per cell, as in `phase_speed`


def statistics(
    field: np.ndarray,
    *,
    fs: float = 1.0,
    band: tuple[float, float] | None = None,
    setting: str = "generalized",
    boundary: str | tuple[str, str] = "periodic",
    rings: bool = False,
    skip: int = 0,
) -> dict[str, float | int | list[float] | None]:
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
      What `signal_statistics` says.

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
) -> dict[str, float | int | list[float] | None]:
    """Returns the numbers that describe the waves of a complex signal.

    Args:
      signal: complex [T, H, W], T >= 4, from `wave_signal`. Numbers over space are of
        at most 2,048 frames, evenly spread.
      fs: samples per unit of time.
      boundary: as in `statistics`.
      rings: as in `statistics`.

    Returns:
      Numbers that JSON can hold, None where there is no answer:
        frames, height, width, missing: sizes; cells that have no signal.
        frequency: median instantaneous frequency, in the unit of `fs`.
        velocity: mean of nu over time and cells, [row, column], radians per cell.
        direction: its angle, radians (`waves.direction`).
        wave_number: median |nu|, radians per cell.
        speed: median phase speed, cells per unit of time. Noise adds to |nu|, so that
          in noisy recordings it is too low; `find_fronts` is less affected.
        coherence: of the directions of the time-averaged nu, in [0, 1]: do all cells
          agree on the way that waves go on average.
        one_sided_coherence: the same of one-sided differences, which also waves of 2 to
          4 cells do not confuse; where it differs, velocity and speed are aliases.
        momentary_coherence: mean over frames of the coherence over cells, in [0, 1].
        gradient_coherence: mean over frames of |mean nu| / mean |nu|, in [0, 1].
        plane_wave: mean over frames of the goodness of the best plane wave, in [0, 1].
        travelling_index: in [0, 1] (`waves.travelling_index`), of the signal as it is:
          `wave_signal` gives every cell the same variance.
        synchrony: mean over frames of the order parameter, in [0, 1].
        singular_fraction: part of the 2 x 2 squares that hold a singularity, in [0, 1].
        spatial_length, temporal_length: where the autocorrelation of the real part
          falls to 1/e, cells and units of time.

    Raises:
      UserError: `signal` is not complex [T, H, W] with at least 4 frames, `fs` is not
        positive, or a mistake in the boundary.
    """
    signal = np.asarray(signal)
    if signal.ndim != 3 or not np.iscomplexobj(signal) or len(signal) < 4:
        raise UserError(
            "statistics need a complex [time, height, width] of at least 4 frames and "
            f"got {signal.dtype} of shape {signal.shape}"
        )
    if not fs > 0:
        raise UserError(f"fs is samples per unit of time and must be positive: {fs!r}")
    length, height, width = signal.shape
    frames = spread(length, _MOST_FRAMES)
    omega = temporal_frequency(signal)[frames]
    some = signal[frames]
    if rings:
        # Sheets of one row each: every function takes leading axes.
        columns = boundary if isinstance(boundary, str) else boundary[1]
        boundary = ("open", columns)
        some, omega = some[:, :, None], omega[:, :, None]
    boundary_pair(boundary, some.shape[-2:])
    space = tuple(range(1, some.ndim))
    velocity = wave_velocity(some, boundary=boundary)
    # Cells in synchrony differ by roundings, which have a direction but no meaning.
    number = np.hypot(velocity[..., 0], velocity[..., 1])
    velocity[number < _MIN_WAVE_NUMBER] = 0
    one_sided = wave_velocity(some, boundary=boundary, difference="forward")
    valid = np.isfinite(signal).all(axis=0)
    real = signal.real
    with warnings.catch_warnings():
        # The mean of nothing is NaN, and told as None.
        warnings.simplefilter("ignore", RuntimeWarning)
        average = np.nanmean(velocity, axis=0, dtype=np.float64)
        mean = np.nanmean(average.reshape(-1, 2), axis=0)
        charge = None if rings else np.abs(winding_number(some, boundary=boundary))
        lags = spatial_autocorrelation(
            some.real.reshape((-1,) + some.shape[-2:]), boundary=boundary
        )
        decay = temporal_autocorrelation(real)
        numbers = {
            "frequency": np.nanmedian(omega) * fs / (2 * np.pi),
            "velocity": mean,
            "direction": direction(mean),
            "wave_number": np.nanmedian(number),
            "speed": np.nanmedian(np.abs(phase_speed(omega, velocity))) * fs,
            "coherence": direction_coherence(average),
            "one_sided_coherence": direction_coherence(
                np.nanmean(one_sided, axis=0, dtype=np.float64)
            ),
            "momentary_coherence": np.nanmean(direction_coherence(velocity, space)),
            "gradient_coherence": np.nanmean(gradient_coherence(velocity, space)),
            "plane_wave": np.nanmean(fit_plane_wave(some).goodness),
            "travelling_index": travelling_index(signal),
            "synchrony": np.nanmean(synchrony(some)),
            "singular_fraction": np.nan if rings else np.nanmean(charge),
            "spatial_length": correlation_length(lags.distance, lags.radial),
            "temporal_length": correlation_length(np.arange(len(decay)) / fs, decay),
        }
    sizes = {"frames": length, "height": height, "width": width}
    sizes["missing"] = int(valid.size - valid.sum())
    return sizes | {name: _plain(value) for name, value in numbers.items()}


def _plain(value: np.ndarray | float) -> float | list[float] | None:
    """A number, or a list of numbers, that JSON can hold."""
    if np.ndim(value):
        return [_plain(part) for part in value]
    return float(value) if np.isfinite(value) else None

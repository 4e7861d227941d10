"""How far a field resembles itself in space and in time."""

from typing import NamedTuple

import numpy as np
import scipy.fft

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_field, as_real, blocks, boundary_pair


class SpatialCorrelation(NamedTuple):
    """Correlation of cells by their distance.

    Attributes:
      correlation: C [2 m + 1, 2 n + 1] at the lags (row, column) from -m and -n to m
        and n; C = 1 at the middle, symmetric about it.
      distance: [b], mean length of the lags in rings of one cell width, cells; the
        first is 0.
      radial: [b], the mean of C in each ring.
    """

    correlation: np.ndarray
    distance: np.ndarray
    radial: np.ndarray


def spatial_autocorrelation(
    field: np.ndarray, *, boundary: str | tuple[str, str] = "periodic"
) -> SpatialCorrelation:
    """Returns the correlation of cells as a function of their distance.

    With z the field less the temporal mean of each cell,

        C(d) = < z(t, r) z(t, r + d) > / < z(t, r)^2 >,

    means over all times and all pairs of cells (r, r + d) that exist.

    Args:
      field: real [T, H, W], any unit.
      boundary: "periodic", "open" or a pair, as in `waves.phase_gradient`.

    Returns:
      `SpatialCorrelation`, C in [-1, 1] up to the scatter between cells, with lags up
      to half of the array. Cells that hold a value that is not finite are left out; NaN
      throughout when nothing varies.

    Raises:
      UserError: not a real [T, H, W], or a mistake in the boundary.

    Source: the autocorrelation function, by the theorem of Wiener and Khinchin.
    """
    field = as_field(field, "spatial_autocorrelation")
    shape = field.shape[1:]
    kinds = boundary_pair(boundary, shape)
    sizes, lags = [], []
    for size, kind in zip(shape, kinds, strict=False):
        open_end = kind == "open"
        sizes.append(scipy.fft.next_fast_len(2 * size) if open_end else size)
        lags.append(size // 2 if open_end else (size - 1) // 2)
    mean, valid = _mean(field)
    power = np.zeros((sizes[0], sizes[1] // 2 + 1))
    for part in blocks(len(field), 2 * shape[0] * shape[1]):
        block = np.where(valid, field[part] - mean, 0)
        # A sum over frames of |F|^2: one inverse transform serves them all.
        power += np.sum(np.abs(scipy.fft.rfft2(block, sizes)) ** 2, axis=0)
    total = scipy.fft.irfft2(power, sizes)
    pairs = np.abs(scipy.fft.rfft2(valid.astype(float), sizes)) ** 2
    pairs = np.round(scipy.fft.irfft2(pairs, sizes))
    rows, columns = (np.arange(-lag, lag + 1) for lag in lags)
    total, pairs = (part[np.ix_(rows, columns)] for part in (total, pairs))
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = total / pairs  # no pair: NaN
        variance = covariance[lags[0], lags[1]]
        correlation = covariance / (variance if variance > 0 else np.nan)
    length = np.hypot(rows[:, None], columns)
    ring = np.round(length).astype(int)
    inside = np.isfinite(correlation) & (ring <= max(lags))
    ring, length = ring[inside], length[inside]
    count = np.bincount(ring)
    full = count > 0
    return SpatialCorrelation(
        correlation,
        (np.bincount(ring, length)[full] / count[full]),
        (np.bincount(ring, correlation[inside])[full] / count[full]),
    )


def scattered_autocorrelation(
    field: np.ndarray, positions: np.ndarray
) -> SpatialCorrelation:
    """Returns the correlation of scattered sites as a function of their distance.

    Args:
      field: real [T, N], any unit.
      positions: [N, 2], any unit.

    Returns:
      `SpatialCorrelation` with `correlation` [N, N], that of each pair, and rings as
      wide as the median distance of a site to its nearest neighbour.

    Raises:
      UserError: `field` is not real.

    Source: as `spatial_autocorrelation`.
    """
    field = as_real(field, "scattered_autocorrelation").astype(np.float64)
    field = field - field.mean(axis=0)
    covariance = field.T @ field
    variance = np.diag(covariance).mean()
    correlation = covariance / (variance if variance > 0 else np.nan)
    way = positions[:, None] - positions
    length = np.hypot(way[..., 0], way[..., 1])
    nearest = np.where(length > 0, length, np.inf).min(axis=1)
    ring = np.round(length / np.median(nearest)).astype(int).ravel()
    count = np.bincount(ring)
    full = count > 0
    return SpatialCorrelation(
        correlation,
        np.bincount(ring, length.ravel())[full] / count[full],
        np.bincount(ring, correlation.ravel())[full] / count[full],
    )


def temporal_autocorrelation(field: np.ndarray) -> np.ndarray:
    """Returns the correlation of the field with itself some samples later.

    With z the field less the temporal mean of each cell,

        C(n) = < z(t, r) z(t + n, r) > / < z(t, r)^2 >,

    means over all cells and all T - n times.

    Args:
      field: real [T, H, W], any unit.

    Returns:
      C at the lags 0 ... T // 2 samples, C(0) = 1. Cells that hold a value that is not
      finite are left out; NaN throughout when nothing varies.

    Raises:
      UserError: not a real [T, H, W].

    Source: as `spatial_autocorrelation`.
    """
    field = as_field(field, "temporal_autocorrelation")
    length = len(field)
    mean, valid = _mean(field)
    series = field.reshape(length, -1)[:, valid.ravel()]
    mean = mean.ravel()[valid.ravel()]
    size = scipy.fft.next_fast_len(length + length // 2)
    power = np.zeros(size // 2 + 1)
    for part in blocks(series.shape[1], 2 * length):
        spectrum = scipy.fft.rfft(series[:, part] - mean[part], size, axis=0)
        power += np.sum(spectrum.real**2 + spectrum.imag**2, axis=1, dtype=float)
    lags = np.arange(length // 2 + 1)
    covariance = scipy.fft.irfft(power, size)[lags] / (length - lags)
    return covariance / (covariance[0] if covariance[0] > 0 else np.nan)


def correlation_length(distance: np.ndarray, correlation: np.ndarray) -> float:
    """Returns the distance at which a correlation first falls below 1/e.

    Args:
      distance: [n], rising, any unit; `SpatialCorrelation.distance`, or lags.
      correlation: [n], at these distances.

    Returns:
      The distance, interpolated linearly. A correlation exp(-d / l) gives l, a wave
      cos(k d) gives 1.19 / k. NaN if the correlation never falls that far, or is NaN.

    Raises:
      UserError: the shapes differ, or have more than one axis.

    Source: the e-folding length.
    """
    distance, correlation = np.asarray(distance), np.asarray(correlation)
    if distance.ndim != 1 or distance.shape != correlation.shape:
        raise UserError(
            f"distances {distance.shape} and correlations {correlation.shape} must be "
            "two lists of one length"
        )
    below = np.flatnonzero(correlation < np.exp(-1))
    if not len(below) or below[0] == 0:
        return float("nan")
    k = below[0]
    part = (correlation[k - 1] - np.exp(-1)) / (correlation[k - 1] - correlation[k])
    return float(distance[k - 1] + part * (distance[k] - distance[k - 1]))


def _mean(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The temporal mean of each cell [H, W], and which cells are finite throughout."""
    mean = field.mean(axis=0, dtype=np.float64)
    valid = np.isfinite(mean)
    mean = np.where(valid, mean, 0)
    return mean.astype(np.float32) if field.dtype == np.float32 else mean, valid

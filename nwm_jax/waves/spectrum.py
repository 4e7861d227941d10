"""Power by frequency and wave vector, against the same field with shuffled cells."""

from typing import NamedTuple

import numpy as np
import scipy.fft

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_field, spread
from nwm_jax.waves.filters import check_band

_MOST_SEGMENTS = 64


class Spectrum(NamedTuple):
    """Power by frequency and wave vector.

    Attributes:
      power: P [F, H, W], the square of the unit of the field.
      frequency: [F], rising, in the unit of fs; none is 0.
      rows: [H], rising wave numbers along the rows, radians per cell, in [-pi, pi).
      columns: [W], the same along the columns.
      control: [F, H, W], the mean power with shuffled cells; None without shuffles.
      p_value: how often shuffled cells have as high a peak; NaN without shuffles.
    """

    power: np.ndarray
    frequency: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    control: np.ndarray | None
    p_value: float

    def peak(self) -> tuple[float, np.ndarray]:
        """Returns frequency and wave vector (row, column) of the highest power.

        The wave vector 0 (all cells together) is left out.
        """
        f, i, j = np.unravel_index(
            np.argmax(_without_uniform(self.power)), self.power.shape
        )
        return float(self.frequency[f]), np.array([self.rows[i], self.columns[j]])


def space_time_spectrum(
    field: np.ndarray,
    *,
    fs: float = 1.0,
    band: tuple[float, float] | None = None,
    segment: int = 256,
    num_shuffles: int = 0,
    seed: int = 0,
) -> Spectrum:
    """Returns the power of a field by frequency and wave vector.

    The record is cut into segments that overlap by half, each less its mean and under a
    Hann window w; with X their transforms

        X(f, k) = (1 / H W) sum_t sum_r w(t) x(t, r) exp(-2 pi i f t) exp(+i k . r)
        P(f, k) = 2 < |X(f, k)|^2 > / (n sum w^2),

    n the length of a segment. The signs are such that cos(omega t - k . r) has its peak
    at +k: where a wave comes from and where it goes are opposite corners. Summed over
    all f and k, P is the mean square of the field over time and cells.

    The control permutes the cells, all times alike. Each keeps its own time course, and
    the cells their common power, but what was neighbourhood is not any more: power at
    k != 0 that survives is not a wave on this sheet. The p-value is
    (1 + n) / (1 + N), n of N shuffles having a peak (k = 0 left out) at least as high.

    Args:
      field: real [T, H, W], any unit.
      fs: samples per unit of time.
      band: (low, high), which frequencies to keep; None: all but 0.
      segment: samples, at least 4; T if that is less. The resolution is fs / segment,
        twice that under the window. Of long records 64 segments, evenly spread, are
        used.
      num_shuffles: of the control; 19 allow p = 0.05.
      seed: of the shuffles.

    Returns:
      A `Spectrum`. Cells that are constant or hold a value that is not finite count
      as 0 and are not shuffled.

    Raises:
      UserError: not a real [T, H, W] with at least 4 frames, a mistake in the band, or
        no frequency of a segment that lies in it.

    Source: Welch 1967, doi:10.1109/TAU.1967.1161901, with a transform over space;
    for waves e.g. Hayashi 1982, doi:10.2151/jmsj1965.60.1_156.
    """
    field = as_field(field, "space_time_spectrum")
    parts, frequency = _transform(field, fs, band, segment)
    shape = field.shape[1:]
    power = _power(parts, shape)
    control, p_value = None, float("nan")
    if num_shuffles > 0:
        generator = np.random.default_rng(seed)
        cells = np.flatnonzero(np.abs(parts).max(axis=(0, 1)))
        highest = _without_uniform(power).max()
        control, as_high = np.zeros_like(power), 0
        shuffled = np.zeros_like(parts)
        for _ in range(num_shuffles):
            shuffled[..., cells] = parts[..., generator.permutation(cells)]
            other = _power(shuffled, shape)
            as_high += _without_uniform(other).max() >= highest
            control += other / num_shuffles
        p_value = float((1 + as_high) / (1 + num_shuffles))
    rows, columns = (
        2 * np.pi * scipy.fft.fftshift(scipy.fft.fftfreq(size)) for size in shape
    )
    return Spectrum(power, frequency, rows, columns, control, p_value)


def _transform(
    field: np.ndarray, fs: float, band: tuple[float, float] | None, segment: int
) -> tuple[np.ndarray, np.ndarray]:
    """Transforms segments over time: complex64 [S, F, H * W], scaled, and f [F]."""
    length = len(field)
    if length < 4 or segment < 4:
        raise UserError(
            f"a spectrum needs at least 4 frames in all and in a segment: {length} and "
            f"{segment}"
        )
    if not fs > 0:
        raise UserError(f"fs is samples per unit of time and must be positive: {fs!r}")
    size = min(segment, length)
    frequency = scipy.fft.rfftfreq(size, 1 / fs)
    low, high = (0, fs / 2) if band is None else check_band(band, fs)
    kept = (frequency >= low) & (frequency <= high) & (frequency > 0)
    if not kept.any():
        raise UserError(
            f"no frequency of a segment of {size} samples lies from {low:g} to "
            f"{high:g}: take longer segments or a longer record"
        )
    starts = np.arange(0, length - size + 1, max(1, size // 2))
    starts = starts[spread(len(starts), _MOST_SEGMENTS)]
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    series = field.reshape(length, -1)
    missing = ~np.isfinite(series.sum(axis=0, dtype=np.float64))
    parts = np.empty((len(starts), kept.sum(), series.shape[1]), np.complex64)
    for k, start in enumerate(starts):
        block = series[start : start + size].astype(np.float64)
        block[:, missing] = 0
        block -= block.mean(axis=0)
        parts[k] = scipy.fft.rfft(block * window[:, None], axis=0)[kept]
    # Two-sided power of a real series but for the highest frequency of an even length.
    twice = np.where((size % 2 == 0) & (frequency[kept] == frequency[-1]), 1, 2)
    scale = np.sqrt(twice / (size * np.sum(window**2) * len(starts)))
    parts *= scale[:, None].astype(np.float32)
    return parts, frequency[kept]


def _power(parts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sums |transform over space|^2 over segments: float64 [F, H, W]."""
    power = np.zeros(parts.shape[1:2] + shape)
    for part in parts:
        # The inverse transform has the sign exp(+i k . r) and the factor 1 / H W.
        waves = scipy.fft.ifft2(part.reshape(power.shape))
        power += waves.real**2 + waves.imag**2
    return scipy.fft.fftshift(power, axes=(1, 2))


def _without_uniform(power: np.ndarray) -> np.ndarray:
    """The power with 0 at the wave vector 0."""
    rest = power.copy()
    rest[:, power.shape[1] // 2, power.shape[2] // 2] = 0
    return rest

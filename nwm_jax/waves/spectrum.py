"""Power by frequency and wave vector, against the same field with shuffled cells."""

from typing import NamedTuple

import numpy as np
import scipy.fft

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_field, as_real, spread
from nwm_jax.waves.filters import check_band
from nwm_jax.waves.sites import grid_sites, scattered_sites

#: What a small p-value of the spectrum speaks against.
NULL = "the same channels at random places: no order in space"

_MOST_SEGMENTS = 64
_MOST = 1 << 23  # sites times wave vectors; larger sheets have 0 in their holes
_FEWEST = 4  # cells of a side that is weighted


class Spectrum(NamedTuple):
    """Power by frequency and wave vector.

    Attributes:
      power: P [F, H, W], the square of the unit of the field.
      frequency: [F], rising, in the unit of fs; none is 0.
      rows: [H], rising wave numbers along the rows, radians per cell, in [-pi, pi).
      columns: [W], the same along the columns.
      control: [F, H, W], the mean power with shuffled cells; None without shuffles.
      p_value: how often shuffled cells have as high a peak; NaN without shuffles. Its
        null hypothesis is `NULL`: neighbours that are correlated are enough to reject
        it, whether anything travels or not.
      longest: the longest wave that the array resolves, its longer side.
    """

    power: np.ndarray
    frequency: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    control: np.ndarray | None
    p_value: float
    longest: float = float("inf")

    def at_least(self) -> bool:
        """Returns whether the peak is next to 0: a wave of `longest` or more."""
        bins = [
            abs(k) / (axis[1] - axis[0]) if len(axis) > 1 else 0.0
            for k, axis in zip(self.peak()[1], (self.rows, self.columns), strict=False)
        ]
        return bool(max(bins) < 1.5)

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
    boundary: str = "periodic",
    positions: np.ndarray | None = None,
) -> Spectrum:
    """Returns the power of a field by frequency and wave vector.

    The record is cut into segments that overlap by half, each less its mean and under a
    Hann window w; with X their transforms

        X(f, k) = (1 / H W) sum_t sum_r w(t) x(t, r) exp(-2 pi i f t) exp(+i k . r)
        P(f, k) = 2 < |X(f, k)|^2 > / (n sum w^2),

    n the length of a segment. On an open sheet the cells are weighted by a Hann window
    over its rows and columns (and the sum divided accordingly), so that the edges do
    not leak: a peak is then about two bins wide. The signs are such that cos(omega t - k . r) has its peak
    at +k: where a wave comes from and where it goes are opposite corners. Summed over
    all f and k, P is the mean square of a periodic field over time and cells.

    The control permutes the cells, all times alike. Each keeps its own time course, and
    the cells their common power, but what was neighbourhood is not any more: power at
    k != 0 that survives is not a wave on this sheet. The p-value is
    (1 + n) / (1 + N), n of N shuffles having a peak (k = 0 left out) at least as high.

    Args:
      field: real [T, H, W], or [T, N] with `positions`; any unit.
      fs: samples per unit of time.
      band: (low, high), which frequencies to keep; None: all but 0.
      segment: samples, at least 4; T if that is less. The resolution is fs / segment,
        twice that under the window. Of long records 64 segments, evenly spread, are
        used.
      num_shuffles: of the control; 19 allow p = 0.05.
      seed: of the shuffles.
      boundary: "periodic", or "open" for a sheet with edges.
      positions: [N, 2] of scattered sites; wave numbers are per unit of theirs.

    Returns:
      A `Spectrum`. Cells that are constant or hold a value that is not finite are left
      out (of sheets of more than about 2,900 cells they count as 0). Open sheets with
      such cells and scattered sites have the wave vectors of the rectangle around them,
      up to half a wave from a site to the next.

    Raises:
      UserError: not a real [T, H, W] with at least 4 frames, a mistake in the band, or
        no frequency of a segment that lies in it.

    Source: Welch 1967, doi:10.1109/TAU.1967.1161901, with a transform over space;
    for waves e.g. Hayashi 1982, doi:10.2151/jmsj1965.60.1_156.
    """
    if boundary not in ("periodic", "open"):
        raise UserError(f"boundary {boundary!r} is not known: 'periodic' or 'open'")
    if positions is not None:
        field = as_real(field, "space_time_spectrum")
        if field.ndim != 2 or np.shape(positions) != (field.shape[1], 2):
            raise UserError(
                f"positions [{field.shape[-1]}, 2] go with an array [time, sites]: "
                f"{np.shape(positions)} and {field.shape}"
            )
    else:
        field = as_field(field, "space_time_spectrum")
    parts, frequency, unit = _transform(field, fs, band, segment)
    there = np.abs(parts).max(axis=(0, 1)) > 0
    space: _Grid | _Scattered
    if positions is not None:
        space = _Scattered(np.asarray(positions, float), there, boundary="open")
    elif (
        boundary == "open" and not there.all() and 0 < there.sum() * there.size < _MOST
    ):
        places = np.indices(field.shape[1:]).reshape(2, -1).T.astype(float)
        space = _Scattered(places, there, sheet=there.reshape(field.shape[1:]))
    else:
        space = _Grid(field.shape[1:], boundary)
    power = space.power(parts)
    control, p_value = None, float("nan")
    if num_shuffles > 0:
        generator = np.random.default_rng(seed)
        cells = np.flatnonzero(there)
        highest = _without_uniform(power).max()
        control, as_high = np.zeros_like(power), 0
        shuffled = np.zeros_like(parts)
        for _ in range(num_shuffles):
            shuffled[..., cells] = parts[..., generator.permutation(cells)]
            other = space.power(shuffled)
            as_high += _without_uniform(other).max() >= highest
            control += other / num_shuffles
        p_value = float((1 + as_high) / (1 + num_shuffles))
        control *= unit**2
    return Spectrum(
        power * unit**2,
        frequency,
        space.rows,
        space.columns,
        control,
        p_value,
        space.longest,
    )


class _Grid:
    """The transform over a whole grid."""

    def __init__(self, shape: tuple[int, int], boundary: str) -> None:
        self.rows, self.columns = (
            2 * np.pi * scipy.fft.fftshift(scipy.fft.fftfreq(size)) for size in shape
        )
        self.longest = float(max(shape))
        sides = [_hann(np.arange(size), 0, size - 1, boundary) for size in shape]
        weight = sides[0][:, None] * sides[1]
        # The transform below has the factor 1 / H W: this is 1 for equal weights.
        scale = np.sqrt(weight.size / np.sum(weight**2))
        self._weight = (weight * scale).astype(np.float32)

    def power(self, parts: np.ndarray) -> np.ndarray:
        """Sums |transform over space|^2 over segments: float64 [F, H, W]."""
        shape = self._weight.shape
        power = np.zeros(parts.shape[1:2] + shape)
        for part in parts:
            # The inverse transform has the sign exp(+i k . r) and the factor 1 / H W.
            waves = scipy.fft.ifft2(part.reshape(power.shape) * self._weight)
            power += waves.real**2 + waves.imag**2
        return scipy.fft.fftshift(power, axes=(1, 2))


class _Scattered:
    """The transform over sites at any places."""

    def __init__(self, positions, there, *, sheet=None, boundary="open") -> None:
        self._there = np.flatnonzero(there)
        place = positions[there]
        self.rows = self.columns = np.zeros(1)
        self.longest = 0.0
        if len(place) < 2:
            self._waves = np.ones((len(place), 1), np.complex64)
            return
        sites = scattered_sites(place) if sheet is None else grid_sites(sheet)
        low, high = place.min(axis=0), place.max(axis=0)
        self.longest = float((high - low).max() + sites.spacing)
        axes, weight = [], np.ones(len(place))
        for side in range(2):
            size = high[side] - low[side] + sites.spacing
            half = int(size / sites.spacing / 2) if high[side] > low[side] else 0
            axes.append(np.arange(-half, half + 1) * (2 * np.pi / size))
            weight *= _hann(place[:, side], low[side], high[side], boundary)
        self.rows, self.columns = axes
        k = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        weight /= np.sqrt(len(k) * max(np.sum(weight**2), 1e-12))
        waves = np.exp(1j * (place @ k.T)) * weight[:, None]
        self._waves = waves.astype(np.complex64)

    def power(self, parts: np.ndarray) -> np.ndarray:
        """Sums |transform over space|^2 over segments: float64 [F, rows, columns]."""
        shape = parts.shape[1], len(self.rows), len(self.columns)
        power = np.zeros(shape)
        for part in parts:
            waves = (part[:, self._there] @ self._waves).reshape(shape)
            power += waves.real**2 + waves.imag**2
        return power


def _hann(place: np.ndarray, low: float, high: float, boundary: str) -> np.ndarray:
    """A window that is 0 one step beyond either end; 1 where there is no edge."""
    count = len(np.unique(place))
    if boundary == "periodic" or count < _FEWEST:
        return np.ones(len(place))
    step = (high - low) / (count - 1)
    return np.sin(np.pi * (place - low + step) / (high - low + 2 * step)) ** 2


def _transform(
    field: np.ndarray, fs: float, band: tuple[float, float] | None, segment: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Transforms segments over time: complex64 [S, F, N], scaled, f [F] and the unit.

    The unit is the largest value: single precision then holds a field of any size.
    """
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
    largest = np.abs(series[:, ~missing]).max(initial=0)
    unit = float(largest) if largest > 0 else 1.0
    parts = np.empty((len(starts), kept.sum(), series.shape[1]), np.complex64)
    for k, start in enumerate(starts):
        block = series[start : start + size].astype(np.float64)
        block[:, missing] = 0
        block = (block - block.mean(axis=0)) / unit
        parts[k] = scipy.fft.rfft(block * window[:, None], axis=0)[kept]
    # Two-sided power of a real series except for the highest frequency of an even length.
    twice = np.where((size % 2 == 0) & (frequency[kept] == frequency[-1]), 1, 2)
    scale = np.sqrt(twice / (size * np.sum(window**2) * len(starts)))
    parts *= scale[:, None].astype(np.float32)
    return parts, frequency[kept], unit


def _without_uniform(power: np.ndarray) -> np.ndarray:
    """The power with 0 at the wave vector 0."""
    rest = power.copy()
    rest[:, power.shape[1] // 2, power.shape[2] // 2] = 0  # odd or even: the middle
    return rest

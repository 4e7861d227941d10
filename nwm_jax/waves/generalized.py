"""The generalised phase: epochs in which the phase runs backwards are interpolated."""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_signal, blocks, turn


def generalized_signal(
    signal: np.ndarray,
    *,
    min_frequency: float = 0.0,
    fs: float = 1.0,
    stretch: int = 3,
    axis: int = 0,
) -> np.ndarray:
    """Returns the analytic signal with its backward-running epochs interpolated.

    Where a slow and a fast oscillation ride on one another, the phase of the analytic
    signal turns back for a moment although neither oscillation does. These epochs are
    found (`negative_epochs`), their phase is discarded, the rest unwrapped over time,

        phi(t_n) = phi(t_1) + sum_{m <= n} wrap( phi(t_m) - phi(t_{m-1}) ),

    and filled in by monotone cubic interpolation (Fritsch-Carlson, at the ends of a
    series with the three-point slope of `scipy.interpolate.PchipInterpolator` and
    MATLAB's pchip); an epoch at the end goes on at the mean frequency of its series.
    Amplitudes stay as they are.

    This smooths the phase and does not make it rise: across an epoch it is known up to
    whole turns only, and the shortest way is taken, which is often a way back. In real
    recordings most samples of negative frequency (68 to 95 % in those tried, as with
    the code of the authors) keep one, of a smaller size.

    Args:
      signal: complex analytic signal of any shape, of a band-passed record.
      min_frequency: in the unit of `fs`; slower phases count as running backwards.
      fs: samples per unit of time.
      stretch: by how much an epoch is lengthened at its end, as in `negative_epochs`.
      axis: the time axis.

    Returns:
      The shape, precision and unit of `signal`; its angle is the generalised phase.
      Series that hold a NaN stay as they are.

    Raises:
      UserError: as `negative_epochs`.

    Source: Davis, Muller, Martinez-Trujillo, Sejnowski & Reynolds 2020, "Spontaneous
    travelling cortical waves gate perception in behaving primates",
    doi:10.1038/s41586-020-2802-y, Methods (there after a zero-phase filter of 5 to 40
    Hz, which is `band_pass` with zero_phase=True).
    """
    signal = as_signal(signal, 1, "[time, ...]")
    _check(signal, fs, stretch, axis)
    along = np.moveaxis(signal, axis, 0)
    series = along.reshape(along.shape[0], -1)
    out = np.empty_like(series)
    threshold = 2 * np.pi * min_frequency / fs
    for part in blocks(series.shape[1], series.shape[0]):
        block = np.array(series[:, part].T, order="C")  # never the input itself
        gap = _epochs(block, threshold, stretch)
        changed = np.flatnonzero(gap.any(axis=1))
        if len(changed):
            phase = _fill(np.angle(block[changed]), ~gap[changed])
            block[changed] = np.abs(block[changed]) * np.exp(1j * phase)
        out[:, part] = block.T
    return np.moveaxis(out.reshape(along.shape), 0, axis)


def negative_epochs(
    signal: np.ndarray,
    *,
    min_frequency: float = 0.0,
    fs: float = 1.0,
    stretch: int = 3,
    axis: int = 0,
) -> np.ndarray:
    """Returns where the phase of a signal runs backwards, and a while after it.

    An epoch is a longest run of samples s <= t <= e with

        fs arg( a(t+1) conj(a(t)) ) / (2 pi) < min_frequency;

    marked is s <= t <= s + `stretch` (e - s), because the phase needs time to recover.
    The first sample is never marked.

    Args:
      signal: complex analytic signal of any shape.
      min_frequency: in the unit of `fs`.
      fs: samples per unit of time.
      stretch: at least 1; 1 marks the epoch alone.
      axis: the time axis.

    Returns:
      bool, the shape of `signal`; False in series that hold a NaN.

    Raises:
      UserError: `signal` is not complex or has fewer than 2 samples along `axis`, `fs`
        is not positive, or `stretch` is below 1.

    Source: as `generalized_signal`.
    """
    signal = as_signal(signal, 1, "[time, ...]")
    _check(signal, fs, stretch, axis)
    along = np.moveaxis(signal, axis, 0)
    series = along.reshape(along.shape[0], -1)
    marked = np.empty(series.shape, bool)
    threshold = 2 * np.pi * min_frequency / fs
    for part in blocks(series.shape[1], series.shape[0]):
        marked[:, part] = _epochs(series[:, part].T, threshold, stretch).T
    return np.moveaxis(marked.reshape(along.shape), 0, axis)


def _check(signal: np.ndarray, fs: float, stretch: int, axis: int) -> None:
    if not -signal.ndim <= axis < signal.ndim or signal.shape[axis] < 2:
        raise UserError(
            f"no epochs along axis {axis} of shape {signal.shape}: at least 2 samples "
            "are needed"
        )
    if not fs > 0 or stretch < 1:
        raise UserError(
            f"fs must be positive and stretch at least 1: {fs!r} and {stretch!r}"
        )


def _epochs(series: np.ndarray, threshold: float, stretch: int) -> np.ndarray:
    """Marks the epochs of [n, T] in which the phase grows by less than `threshold`."""
    count, length = series.shape
    slow = np.zeros((count, length + 1), bool)  # one more: every run ends
    slow[:, 1 : length - 1] = turn(series[:, 2:], series[:, 1:-1]) < threshold
    slow[np.isnan(series).any(axis=1)] = False
    before = np.zeros_like(slow)
    before[:, 1:] = slow[:, :-1]
    # Row by row, so that the k-th start and the k-th end belong together.
    which, start = np.nonzero(slow & ~before)
    stop = np.nonzero(before & ~slow)[1]
    stop = np.minimum(start + stretch * (stop - 1 - start) + 1, length)
    # +1 where an epoch begins, -1 where it ends: the running sum counts open epochs.
    change = np.zeros((count, length + 1), np.int32)
    np.add.at(change, (which, start), 1)
    np.add.at(change, (which, stop), -1)
    return np.cumsum(change[:, :length], axis=1) > 0


def _fill(angle: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Unwraps [n, T] over its valid samples and interpolates the others.

    The first sample of every row is valid.
    """
    count, length = angle.shape
    which, time = np.nonzero(valid)
    value = angle[which, time].astype(np.float64)
    first = np.flatnonzero(np.diff(which, prepend=-1))
    last = np.append(first[1:], len(which)) - 1
    step = np.diff(value, prepend=0.0)
    step -= 2 * np.pi * np.round(step / (2 * np.pi))
    step[first] = value[first]
    total = np.cumsum(step)
    value = total - np.repeat(total[first] - value[first], last - first + 1)
    out = np.empty((count, length))
    out[which, time] = value

    left = np.flatnonzero((np.diff(which) == 0) & (np.diff(time) > 1))
    if len(left):
        inner = _hermite(which, time, value, left)
        size = time[left + 1] - time[left] - 1
        gap = np.repeat(np.arange(len(left)), size)
        ahead = np.arange(len(gap)) - np.repeat(np.cumsum(size) - size, size) + 1
        out[which[left][gap], time[left][gap] + ahead] = inner(gap, ahead)
    # After the last valid sample there is nothing to interpolate to.
    duration = np.maximum(time[last] - time[first], 1)
    rate = (value[last] - value[first]) / duration
    row, beyond = np.nonzero(np.arange(length) > time[last][:, None])
    out[row, beyond] = value[last][row] + rate[row] * (beyond - time[last][row])
    return out


def _hermite(which: np.ndarray, time: np.ndarray, value: np.ndarray, left: np.ndarray):
    """The monotone cubic between the samples `left` and `left + 1` of long lists.

    Only the slopes at the two ends of a gap matter, and they depend on the next one or
    two samples on either side: no spline over the whole record has to be made.
    """
    width = np.diff(time).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        secant = np.diff(value) / width

    def slope(at: np.ndarray) -> np.ndarray:
        """At sample `at`, between the intervals at - 1 and at."""
        before = np.maximum(at - 1, 0)
        after = np.minimum(at, len(width) - 1)
        d0, d1, h0, h1 = secant[before], secant[after], width[before], width[after]
        w0, w1 = 2 * h1 + h0, h1 + 2 * h0
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = (w0 + w1) / (w0 / d0 + w1 / d1)
        mean = np.where(d0 * d1 > 0, mean, 0.0)
        # At the ends of a series there are intervals on one side only.
        first = (at == 0) | (which[before] != which[at])
        last = (at == len(width)) | (which[np.minimum(at + 1, len(width))] != which[at])
        return np.where(first, end(at, 1), np.where(last, end(at, -1), mean))

    def end(at: np.ndarray, way: int) -> np.ndarray:
        """At the first (way 1) or last (-1) sample of a series, by three points."""
        near = at if way > 0 else at - 1
        top = len(width) - 1
        far = np.clip(near + way, 0, top)
        near = np.clip(near, 0, top)
        d0, d1, h0, h1 = secant[near], secant[far], width[near], width[far]
        slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
        slope = np.where(slope * d0 <= 0, 0.0, slope)
        steep = (d0 * d1 <= 0) & (np.abs(slope) > 3 * np.abs(d0))
        slope = np.where(steep, 3 * d0, slope)
        # A series of two samples has one interval, and its secant.
        third = np.clip(at + 2 * way, 0, len(width))
        two = (which[third] != which[np.clip(at, 0, len(width))]) | (far == near)
        return np.where(two, d0, slope)

    h, d = width[left], secant[left]
    m0, m1, start = slope(left), slope(left + 1), value[left]

    def evaluate(gap: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        s = ahead / h[gap]
        linear = start[gap] + d[gap] * ahead
        bend = (1 - s) * (m0 - d)[gap] - s * (m1 - d)[gap]
        return linear + h[gap] * s * (1 - s) * bend

    return evaluate

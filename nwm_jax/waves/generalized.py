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
    out = series.copy()  # never the input itself
    interpolate_epochs(out, 2 * np.pi * min_frequency / fs, stretch)
    return np.moveaxis(out.reshape(along.shape), 0, axis)


def interpolate_epochs(
    series: np.ndarray, threshold: float = 0.0, stretch: int = 3
) -> None:
    """Makes [T, n] its `generalized_signal`, in its own memory.

    Args:
      series: complex, changed.
      threshold: radians per sample; slower phases count as running backwards.
      stretch: as in `negative_epochs`.
    """
    which, start, stop = _epochs(series, threshold, stretch)
    if len(which):
        _fill(series, which, start, stop)


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
    marked = np.zeros(series.shape, bool)
    which, start, stop = _epochs(series, 2 * np.pi * min_frequency / fs, stretch)
    gap, ahead = _inside(stop - start)
    marked[start[gap] + ahead, which[gap]] = True
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


def _epochs(
    series: np.ndarray, threshold: float, stretch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series, first sample and end (excluded) of the epochs of [T, n], in their order.

    They are lengthened, and joined where they then overlap or touch.
    """
    length, count = series.shape
    slow = np.empty((max(length - 2, 0), count), bool)
    missing = np.zeros(count, bool)
    for part in blocks(len(slow), count):
        here, after = series[1:-1][part], series[2:][part]
        if threshold == 0:  # the same without an angle, which is slow
            slow[part] = (after * here.conj()).imag < 0
        else:
            slow[part] = turn(after, here) < threshold
        missing |= np.isnan(here.sum(axis=0) + after.sum(axis=0))
    missing |= np.isnan(series[0])
    slow[:, missing] = False
    time, which = np.nonzero(slow)
    if not len(time):
        return time, time, time
    order = np.lexsort((time, which))
    # One rising number for series and time, in which no two series touch.
    at = which[order] * (length + 2) + time[order] + 1
    first = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    last = np.append(first[1:], len(at)) - 1
    start, size = at[first], at[last] - at[first]
    limit = start // (length + 2) * (length + 2) + length
    stop = np.minimum(start + stretch * size + 1, limit)
    until = np.maximum.accumulate(stop)
    first = np.flatnonzero(np.append(True, start[1:] > until[:-1]))
    start, stop = start[first], until[np.append(first[1:], len(start)) - 1]
    which = start // (length + 2)
    return which, start - which * (length + 2), stop - which * (length + 2)


def _inside(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the epoch and the place in it of all samples of epochs."""
    gap = np.repeat(np.arange(len(size)), size)
    return gap, np.arange(len(gap)) - np.repeat(np.cumsum(size) - size, size)


def _fill(
    series: np.ndarray, which: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> None:
    """Sets the new phase of the samples of the epochs of [T, n]."""
    length = len(series)
    left, right = start - 1, stop
    # The valid samples before and after these two: those beyond the epoch next to this
    # one where a single sample parts them. Outside of the series there are none.
    near = (which[1:] == which[:-1]) & (left[1:] == right[:-1])
    before = np.where(np.append(False, near), np.roll(left, 1), left - 1)
    after = np.where(np.append(near, False), np.roll(right, -1), right + 1)

    def interval(early: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, ...]:
        """Slope of the phase, the shorter way round, and width; whether there is one."""
        there = (early >= 0) & (late >= 0) & (late < length)
        sooner, later = (np.where(there, time, 0) for time in (early, late))
        turned = turn(series[later, which], series[sooner, which]).astype(np.float64)
        width = np.where(there, late - early, 1).astype(float)
        return turned / width, width, there

    own, earlier, later = (
        interval(*times) for times in ((left, right), (before, left), (right, after))
    )
    rise, width, closed = own
    at_start, at_stop = _slope(own, earlier, later), _slope(own, later, earlier)
    gap, ahead = _inside(stop - start)
    s = (ahead + 1) / width[gap]
    bend = (1 - s) * (at_start - rise)[gap] - s * (at_stop - rise)[gap]
    turned = width[gap] * s * (rise[gap] + (1 - s) * bend)
    for k in np.flatnonzero(~closed):  # at the end there is nothing to interpolate to
        of = which == which[k]
        rate = _mean_rate(series[:, which[k]], start[of], stop[of])
        turned[gap == k] = rate * (ahead[gap == k] + 1)
    at = start[gap] + ahead, which[gap]
    phase = np.angle(series[left, which]).astype(np.float64)[gap] + turned
    series[at] = np.abs(series[at]) * np.exp(1j * phase)


def _mean_rate(series: np.ndarray, start: np.ndarray, stop: np.ndarray) -> float:
    """The mean step of the phase of a series [T] over what is outside of its epochs."""
    valid = np.ones(len(series), bool)
    for a, b in zip(start, stop, strict=True):
        valid[a:b] = False
    time, kept = np.flatnonzero(valid), series[valid]
    steps = turn(kept[1:], kept[:-1]).sum(dtype=np.float64)
    return float(steps / max(time[-1] - time[0], 1))


def _slope(gap: tuple, beside: tuple, across: tuple) -> np.ndarray:
    """The slope of the monotone cubic where an interval and one beside it meet.

    At the end of a series there is none beside it: the slope is that of three points,
    with the interval across, or of two.
    """
    (d0, h0, _), (d1, h1, inner), (d2, h2, three) = gap, beside, across
    w0, w1 = 2 * h1 + h0, h1 + 2 * h0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (w0 + w1) / (w0 / d0 + w1 / d1)
        # Where there are two points alone this is nothing, and `three` leaves it out.
        end = ((2 * h0 + h2) * d0 - h0 * d2) / (h0 + h2)
    mean = np.where(d0 * d1 > 0, mean, 0.0)
    end = np.where(end * d0 <= 0, 0.0, end)
    steep = (d0 * d2 <= 0) & (np.abs(end) > 3 * np.abs(d0))
    end = np.where(steep, 3 * d0, end)
    return np.where(inner, mean, np.where(three, end, d0))

"""Band-pass filters along time, and the z-score."""

import numpy as np
import scipy.fft

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_real, blocks

_LONGEST_PERIOD = 2.0**48  # samples


def band_pass(
    x: np.ndarray,
    band: tuple[float, float],
    *,
    fs: float = 1.0,
    order: int = 4,
    zero_phase: bool = False,
    axis: int = 0,
) -> np.ndarray:
    """Returns `x` without the frequencies outside a band, by a Butterworth filter.

    With the analogue frequency Omega = tan(pi f / fs), low and high the band's edges,

        |H(f)|^2 = 1 / (1 + Q^(2 order)),
        Q = (Omega^2 - Omega_low Omega_high) / (Omega (Omega_high - Omega_low)).

    Causal: one pass forward in time from a state of rest. The phase lags, by an amount
    that depends on the frequency but not on the cell, and the first period or so is the
    filter's own. This is what the NWM experiments do, with the band 0.1 to 0.2 cycles
    per frame. Zero-phase: forward, then backward, so that |H|^2 stands for |H| and
    nothing lags; each end is first continued by 6 `order` samples, reflected in its
    last one.

    Args:
      x: real numbers of any shape, any unit; computed in double precision.
      band: (low, high), the half-power frequencies in the unit of `fs`;
        0 < low < high < fs / 2.
      fs: samples per unit of time; 1: frequencies are cycles per sample.
      order: of the low-pass prototype, from 1 to 12: the band-pass has 2 `order` poles.
      zero_phase: whether to filter backward too.
      axis: the time axis.

    Returns:
      float32 if `x` is, else float64; the shape and unit of `x`. A series that holds a
      NaN or an infinity anywhere is NaN at all times.

    Raises:
      UserError: `x` is not real or has no such axis; the band does not lie between 0
        and the Nyquist frequency; the record is shorter than one period of `low`, or
        (zero-phase) not longer than the continuation.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202): order 4,
    causal. Zero-phase: Davis et al. 2020, doi:10.1038/s41586-020-2802-y: order 4, 5 to
    40 Hz.
    """
    x = as_real(x, "band_pass")
    low, high = check_band(band, fs)
    if not (isinstance(order, int | np.integer) and 1 <= order <= 12):
        raise UserError(f"the order of the filter is from 1 to 12 and not {order!r}")
    if not -x.ndim <= axis < x.ndim:
        raise UserError(f"no axis {axis} in an array of shape {x.shape}")
    x = np.moveaxis(x, axis, 0)
    length = x.shape[0]
    padding = 6 * order if zero_phase else 0
    needed = max(int(np.ceil(fs / low)), padding + 1, 3)
    if length < needed:
        raise UserError(
            f"{length} samples are too few for the filter from {low:g} to {high:g}: it "
            f"needs at least {needed} (one period of {low:g} at fs = {fs:g}, and more "
            f"than {padding} for its ends)"
        )
    import scipy.signal  # slow to import, as in `_sections`

    sos = _sections((low, high), fs, order)
    series = x.reshape(length, -1)
    out = np.empty(series.shape, np.float32 if x.dtype == np.float32 else np.float64)
    for part in blocks(series.shape[1], length):
        # Time last and dense: the recursion then runs along memory.
        block = np.array(series[:, part].T, dtype=np.float64, order="C")
        missing = ~np.isfinite(block).all(axis=1)
        block[missing] = 0
        if zero_phase:
            block = scipy.signal.sosfiltfilt(sos, block, axis=1, padlen=padding)
        else:
            block = scipy.signal.sosfilt(sos, block, axis=1)
        block[missing] = np.nan
        out[:, part] = block.T
    return np.moveaxis(out.reshape(x.shape), 0, axis)


def analytic_band(
    x: np.ndarray,
    band: tuple[float, float],
    *,
    fs: float = 1.0,
    order: int = 4,
    zero_phase: bool = False,
) -> np.ndarray:
    """Returns the analytic signal of `band_pass` of a part of a long record.

    Both are one product in the frequency domain: with X the transform of `x` less the
    line from its first to its last sample, which no band holds,

        a = IDFT(2 G X),    G = H or |H|^2 (zero-phase) for 0 < f < fs / 2, else 0.

    Args:
      x: real [T, n], no NaN.
      band, fs, order, zero_phase: as in `band_pass`.

    Returns:
      complex64 [T, n], the unit of `x`; wrong at the ends, for as long as the filter
      rings (`ringing`).
    """
    length = len(x)
    size = scipy.fft.next_fast_len(length)
    padded = np.zeros((size, x.shape[1]), np.float32)
    # In double where the numbers are: a record may lie far from 0.
    rise = (x[-1].astype(np.float64) - x[0]) / max(length - 1, 1)
    for part in blocks(length, x.shape[1]):
        line = np.arange(part.start, part.stop)[:, None] * rise + x[0]
        np.subtract(x[part], line, out=padded[part], casting="same_kind")
    half = scipy.fft.rfft(padded, axis=0, overwrite_x=True)
    z = np.exp(-2j * np.pi * np.arange(len(half)) / size)
    gain = np.ones(len(half), complex)
    for section in _sections(band, fs, order):
        gain *= np.polyval(section[2::-1], z) / np.polyval(section[:2:-1], z)
    gain = 2 * (np.abs(gain) ** 2 if zero_phase else gain)
    gain[[0, *([-1] if size % 2 == 0 else [])]] = 0
    passed = np.flatnonzero(np.abs(gain) > 1e-9)
    low, high = passed[0], passed[-1] + 1
    spectrum = np.zeros((size, x.shape[1]), np.complex64)
    dtype = np.float32 if zero_phase else np.complex64
    np.multiply(half[low:high], gain[low:high, None].astype(dtype), spectrum[low:high])
    return scipy.fft.ifft(spectrum, axis=0, overwrite_x=True)[:length]


def ringing(
    band: tuple[float, float], *, fs: float = 1.0, order: int = 4, zero_phase: bool
) -> float:
    """Returns after how many samples the filter's response is 1e-5 of its height."""
    poles = [np.roots(section[3:]) for section in _sections(band, fs, order)]
    rate = -np.log(np.abs(np.concatenate(poles)).max())
    return (14.0 if zero_phase else 11.5) / rate  # there and back: (1 + r t) exp(-r t)


def _sections(band: tuple[float, float], fs: float, order: int) -> np.ndarray:
    """The second-order sections [n, 6] of the filter."""
    # Imported here: it takes as long as the rest of `import nwm_jax` without JAX.
    import scipy.signal

    return scipy.signal.butter(order, band, "bandpass", fs=fs, output="sos")


def z_score(x: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns every series with mean 0 and (unbiased) standard deviation 1.

        z(t) = (x(t) - m) / s,    s^2 = sum (x(t) - m)^2 / (N - 1)

    Args:
      x: real numbers of any shape with at least 2 samples along `axis`, any unit.
      axis: the time axis.

    Returns:
      The shape of `x`, float32 if `x` is, else float64; no unit. NaN at all times
      where a series is constant or holds a value that is not finite.

    Raises:
      UserError: `x` is not real, has no such axis, or is too short.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), the step
    between filter and phase.
    """
    x = as_real(x, "z_score")
    if not -x.ndim <= axis < x.ndim or x.shape[axis] < 2:
        raise UserError(
            f"no z-score along axis {axis} of shape {x.shape}: at least 2 samples are "
            "needed"
        )
    x = np.moveaxis(x, axis, 0)
    series = x.reshape(x.shape[0], -1)
    out = np.empty(series.shape, np.float32 if x.dtype == np.float32 else np.float64)
    for part in blocks(series.shape[1], x.shape[0]):
        block = series[:, part].astype(np.float64)
        varies = block.max(axis=0) > block.min(axis=0)
        with np.errstate(invalid="ignore"):
            block -= block.mean(axis=0)
            deviation = block.std(axis=0, ddof=1)
        out[:, part] = block / np.where(varies, deviation, np.nan)
    return np.moveaxis(out.reshape(x.shape), 0, axis)


def check_band(band: tuple[float, float], fs: float) -> tuple[float, float]:
    """Returns (low, high) as floats.

    Raises:
      UserError: `fs` is not positive, or not 0 < low < high < fs / 2, or a period of
        `low` has more samples than any recording.
    """
    if not (np.isfinite(fs) and fs > 0):
        raise UserError(f"fs is samples per unit of time and must be positive: {fs!r}")
    try:
        # Python would take the digits of any script.
        low, high = (
            float(edge.encode("ascii") if isinstance(edge, str) else edge)
            for edge in band
        )
    except (TypeError, ValueError):
        given = ",".join(map(str, band)) if isinstance(band, list | tuple) else band
        raise UserError(
            f"the band is two frequencies low,high and not {given}"
        ) from None
    if not 0 < low < high < fs / 2:
        raise UserError(
            f"the band {low:g},{high:g} must rise and lie between 0 and the Nyquist "
            f"frequency {fs / 2:g} (half of fs = {fs:g}), both excluded"
        )
    if fs > _LONGEST_PERIOD * low:
        raise UserError(
            f"the band {low:g},{high:g} begins too low: no recording has a period of it, "
            f"{fs:g} / {low:g} samples"
        )
    return low, high

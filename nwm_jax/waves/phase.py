"""The analytic signal of a real array along time, and its phase."""

import numpy as np
import scipy.fft

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_real

# An amplitude below this many roundings of the largest one is rounding, not signal.
_ROUNDINGS = 64


def analytic_signal(
    x: np.ndarray, axis: int = 0, remove_mean: bool = True
) -> np.ndarray:
    """Returns the complex signal whose real part is `x` and which turns one way only.

    With X the discrete Fourier transform of the N samples along `axis`,

        a = IDFT(w X),    w_k = 2 for 0 < k < N/2,    w_k = 0 for k > N/2,

    so that a(t) = A(t) exp(i phi(t)), with instantaneous amplitude A and phase phi;
    the sign is such that phi grows with time. The two bins without a partner, k = 0
    and (N even) k = N/2, get

        w = 0 if `remove_mean`: a is free of the temporal mean, whose offset would
                otherwise pull the phase towards 0 (the choice of the NWM experiments);
        w = 1 if not: the real part is `x` itself (the same as `scipy.signal.hilbert`).

    A narrow-band signal is assumed: filter a broad-band one first. The transform treats
    the samples as one period, so phases within about a cycle of either end are bent
    unless the record holds whole periods.

    Args:
      x: real numbers of any shape with at least 3 samples along `axis`, any unit.
        float32 stays single precision; everything else is computed in double.
      axis: the time axis.
      remove_mean: whether the mean (and the highest frequency of an even N) is dropped.

    Returns:
      complex64 or complex128 of the shape and unit of `x`. A series that holds a NaN or
      an infinity anywhere is NaN at all times (a missing channel stays missing, the
      others are untouched); with `remove_mean` a constant series is exactly 0.

    Raises:
      UserError: `x` is complex or not numeric, has no such axis, or is too short.

    Source: Gabor, "Theory of communication", 1946; used for NWM by Keller & Welling,
    "Neural Wave Machines", ICML 2023 (PMLR 202).
    """
    x = as_real(x, "analytic_signal")
    if not -x.ndim <= axis < x.ndim:
        raise UserError(f"no axis {axis} in an array of shape {x.shape}")
    x = np.moveaxis(x, axis, 0)
    n = x.shape[0]
    if n < 3:
        raise UserError(
            f"the time axis has {n} samples: at least 3 are needed for a phase "
            f"(shape {x.shape} with time first)"
        )
    x = x.astype(np.float32 if x.dtype == np.float32 else np.float64, copy=False)

    finite = np.isfinite(x).all(axis=0)
    if not finite.all():
        x = np.where(finite, x, 0)
    if remove_mean:
        x = _centre(x)
    half = scipy.fft.rfft(x, axis=0)
    half[1 : (n + 1) // 2] *= 2
    if remove_mean:
        half[0] = 0
        if n % 2 == 0:
            half[-1] = 0
    spectrum = np.zeros(x.shape, half.dtype)
    spectrum[: half.shape[0]] = half
    signal = scipy.fft.ifft(spectrum, axis=0, overwrite_x=True)
    if not finite.all():
        signal[:, ~finite] = complex(np.nan, np.nan)
    return np.moveaxis(signal, 0, axis)


def phase(x: np.ndarray, axis: int = 0, remove_mean: bool = True) -> np.ndarray:
    """Returns the instantaneous phase phi = arg(a), a the analytic signal of `x`.

    Phase 0 is a crest of `x`, +-pi a trough; it grows with time.

    Args:
      x: real numbers of any shape with at least 3 samples along `axis`, any unit.
      axis: the time axis.
      remove_mean: as in `analytic_signal`.

    Returns:
      The shape of `x`, in radians, in [-pi, pi]. NaN where there is no phase: series
      with missing values, and points whose amplitude is at the level of rounding
      (constant series, the nodes of a standing wave).

    Raises:
      UserError: as `analytic_signal`.

    Source: as `analytic_signal`.
    """
    signal = analytic_signal(x, axis, remove_mean)
    angle = np.angle(signal)
    angle[is_silent(signal)] = np.nan
    return angle


def is_silent(signal: np.ndarray) -> np.ndarray:
    """Returns where a complex signal is too weak (or NaN) to have a phase.

    Args:
      signal: analytic signal of any shape.

    Returns:
      bool, the shape of `signal`: not |a| > 64 eps max|a|, eps the relative rounding of
      its precision and the maximum taken over the whole array.
    """
    amplitude = np.abs(signal)
    largest = np.nanmax(amplitude, initial=0.0)
    return ~(amplitude > _ROUNDINGS * np.finfo(amplitude.dtype).eps * largest)


def _centre(x: np.ndarray) -> np.ndarray:
    """Subtracts the mean over axis 0, taken in double; constant series become 0."""
    mean = x.mean(axis=0, dtype=np.float64)
    lowest, highest = x.min(axis=0), x.max(axis=0)
    centred = x - mean.astype(x.dtype)
    # The mean of N equal numbers may differ from them by a rounding.
    centred[:, lowest == highest] = 0
    return centred

"""Does a field travel, or does it stand?"""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_signal, spread

_MOST_FRAMES = 1024  # of each part


def travelling_index(signal: np.ndarray) -> float:
    """Returns how far a field is from looking the same backwards in time.

    Reversing time turns the analytic signal a into its conjugate. With C the covariance
    of the cells (sum over time of a a^H), estimated from the first and from the second
    half of the record,

        index = sqrt( 1 - tr(C1 C2^T) / tr(C1 C2) ).

    A single mode a(t, r) = s(t) (c(r) + i d(r)) with c and d orthogonal has
    index = 2 |c| |d| / (|c|^2 + |d|^2): 0 for a standing wave (d = 0), 1 for plane and
    rotating waves; waves of amplitudes A and B against one another have
    |A^2 - B^2| / (A^2 + B^2). Several modes are averaged with the weight of their
    squared powers. What is independent from cell to cell has no part in the product of
    two estimates, so noise lowers the index little, and noise alone gives about 0. It
    fluctuates with the inverse root of the number of independent samples: a few periods
    of noise may give 0.3.

    Args:
      signal: complex analytic signal [T, ...], T >= 4, usually [T, H, W]. Of long
        records 1,024 frames of each part, evenly spread, are used.

    Returns:
      In [0, 1]; global synchrony, which goes nowhere, counts as standing. NaN when no
      cell has a signal. Cells with a NaN are left out. Without a band-pass slow drifts
      are few independent samples: independent 1/f noise of 600 frames has about 0.7,
      1/f^2 noise nearly 1. Test it against surrogates (`surrogates.significance`).

    Raises:
      UserError: `signal` is not complex or has fewer than 4 frames.

    Source: own definition; for a single mode it is 2 x / (1 + x^2) of the travelling
    index x of Feeny 2008, "A complex orthogonal decomposition for wave motion
    analysis", doi:10.1016/j.jsv.2007.07.047.
    """
    signal = as_signal(signal, 2, "[time, height, width]")
    length = len(signal)
    if length < 4:
        raise UserError(f"{length} frames: a travelling index needs at least 4")
    cells = signal.reshape(length, -1)
    margin, part = length // 20, 2 * length // 5
    early = margin + spread(part - margin, _MOST_FRAMES)
    first, second = cells[early], cells[length - 1 - early]
    valid = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    if not valid.all():
        first, second = first[:, valid], second[:, valid]
    if not first.size:
        return float("nan")
    # tr(C1 C2) = sum |a^H b|^2 and tr(C1 C2^T) = sum |a^T b|^2 over pairs of frames,
    # one of each part: the covariances themselves are never made.
    forward = _power(first.conj() @ second.T)
    if not forward > 0:
        return float("nan")
    backward = _power(first @ second.T)
    return float(np.sqrt(max(0.0, 1 - backward / forward)))


def _power(products: np.ndarray) -> float:
    return float(
        np.sum(products.real**2, dtype=np.float64)
        + np.sum(products.imag**2, dtype=np.float64)
    )

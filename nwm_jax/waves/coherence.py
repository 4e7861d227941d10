"""How well the cells of a field agree: in phase, in direction, in gradient."""

import numpy as np

from nwm_jax.waves.arrays import as_signal, as_vectors
from nwm_jax.waves.phase import is_silent


def direction_coherence(
    velocity: np.ndarray, axis: int | tuple[int, ...] | None = None
) -> np.ndarray:
    """Returns how well the directions of the vectors agree.

        R = | mean( nu / |nu| ) |

    Apply it to the time-averaged velocity for the coherence of the mean flow.

    Args:
      velocity: [..., 2], any unit.
      axis: the axes to average over, counted in `velocity` without its last axis;
        None: all of them.

    Returns:
      In [0, 1], the shape of what is left: 1 when all vectors point one way, about
      1/sqrt(n) for n random ones, 0 for a balanced rotation. Vectors that are zero or
      NaN have no direction and are left out; NaN when none remains.

    Raises:
      UserError: the last axis does not hold 2 components.

    Source: the mean resultant length of circular statistics (Mardia & Jupp,
    "Directional Statistics").
    """
    velocity = as_vectors(velocity)
    length = np.hypot(velocity[..., 0], velocity[..., 1])
    valid = length > 0  # False for NaN
    safe = np.where(valid, length, 1)
    unit = np.where(valid[..., None], velocity, 0) / safe[..., None]
    count = valid.sum(axis=axis)
    total = [unit[..., i].sum(axis=axis, dtype=np.float64) for i in range(2)]
    return np.hypot(*total) / np.where(count, count, np.nan)


def gradient_coherence(
    velocity: np.ndarray, axis: int | tuple[int, ...] | None = None
) -> np.ndarray:
    """Returns how much of the phase gradient is one plane slope.

        PGD = | mean( nu ) | / mean( |nu| )

    Unlike `direction_coherence` it lets steep places count for more than flat ones.

    Args:
      velocity: [..., 2], any unit.
      axis: the axes to average over, counted in `velocity` without its last axis;
        None: all of them.

    Returns:
      In [0, 1], the shape of what is left: 1 for a plane wave, 0 for a balanced
      rotation. Vectors with a NaN are left out; NaN when none remains or all are zero.

    Raises:
      UserError: the last axis does not hold 2 real components.

    Source: the phase gradient directionality of Rubino, Robbins & Hatsopoulos 2006,
    doi:10.1038/nn1802.
    """
    velocity = as_vectors(velocity)
    length = np.hypot(velocity[..., 0], velocity[..., 1])
    valid = np.isfinite(length)
    rows, columns = (
        np.sum(velocity[..., i], axis=axis, where=valid, dtype=np.float64)
        for i in range(2)
    )
    steepness = np.sum(length, axis=axis, where=valid, dtype=np.float64)
    return np.hypot(rows, columns) / np.where(steepness, steepness, np.nan)


def synchrony(signal: np.ndarray, axis: int | tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Returns how nearly all cells have the same phase.

        r = | mean( a / |a| ) |

    Args:
      signal: complex analytic signal, usually [..., H, W].
      axis: the axes to average over: the two of space by default; the time axis gives
        the locking of each cell to a constant phase.

    Returns:
      In [0, 1], the shape of what is left: 1 when all cells oscillate together, 0 for a
      plane wave of whole wavelengths, about 1/sqrt(n) for n random phases. Cells
      without a phase are left out; NaN when none remains.

    Raises:
      UserError: `signal` is not complex.

    Source: the order parameter of Kuramoto, "Chemical Oscillations, Waves, and
    Turbulence", 1984.
    """
    signal = as_signal(signal, 1, "[..., height, width]")
    valid = ~is_silent(signal)
    unit = np.where(valid, signal, 0) / np.where(valid, np.abs(signal), 1)
    count = valid.sum(axis=axis)
    return np.abs(unit.sum(axis=axis)) / np.where(count, count, np.nan)

"""How the phase of a field changes in space and time: wave number, frequency, speed.

All functions start from the complex analytic signal a = A exp(i phi) of a field
(`phase.analytic_signal`): differences of phase are angles of products of complex
numbers, so nothing is ever unwrapped. Vectors are (row, column): a positive row
component points towards higher row indices.
"""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_signal, as_vectors, boundary_pair, turn
from nwm_jax.waves.phase import is_silent


def phase_gradient(
    signal: np.ndarray,
    *,
    boundary: str | tuple[str, str] = "periodic",
    difference: str = "central",
) -> np.ndarray:
    """Returns the spatial gradient of the phase by wrapped differences.

    Along each of the two axes, with i the index along it,

        central:  (grad phi)_i = arg( a(i+1) conj(a(i-1)) ) / 2
        forward:  (grad phi)_i = arg( a(i+1) conj(a(i)) ).

    The central one belongs to the cell itself and is exact for plane waves longer than
    4 cells; of shorter ones it cannot tell the direction, and gives the alias
    k -> k - pi sign(k). The one-sided one belongs to the middle between two cells and
    is exact down to waves of 2 cells.

    Args:
      signal: complex analytic signal [..., H, W]; usually [T, H, W].
      boundary: "periodic" (a torus: the last cell is the neighbour of the first) or
        "open" (a sheet: at the first and last cell the difference to the one
        neighbour, arg( a(i+1) conj(a(i)) )), or a pair of these for (rows, columns),
        e.g. ("open", "periodic") for a stack of rings.
      difference: "central" or "forward" (at the last cell of an open axis: the one
        before it).

    Returns:
      [..., H, W, 2], (row, column), radians per cell, in (-pi/2, pi/2] (one-sided
      differences: (-pi, pi]). NaN where one of the two cells has no phase
      (`phase.is_silent`). Along an axis of one cell it is 0.

    Raises:
      UserError: `signal` is not complex, has fewer than two axes, or a periodic axis of
        two cells, whose two neighbours are the same cell; an unknown `boundary` or
        `difference`.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202): the spatial
    gradient of the generalised phase (there with the opposite sign, see
    `wave_velocity`).
    """
    signal = as_signal(signal, 2, "[..., height, width]")
    boundaries = boundary_pair(boundary, signal.shape[-2:])
    if difference not in ("central", "forward"):
        raise UserError(
            f"difference {difference!r} is not known: use 'central' or 'forward'"
        )
    signal = np.where(is_silent(signal), signal.dtype.type(np.nan), signal)
    gradient = np.zeros((*signal.shape, 2), signal.real.dtype)
    for component, kind in enumerate(boundaries):
        axis = component - 2
        along = np.moveaxis(signal, axis, 0)
        out = np.moveaxis(gradient[..., component], axis, 0)
        if along.shape[0] == 1:
            out[np.isnan(along)] = np.nan
            continue
        if difference == "forward":
            out[:-1] = turn(along[1:], along[:-1])
            out[-1] = turn(along[0], along[-1]) if kind == "periodic" else out[-2]
            continue
        out[1:-1] = turn(along[2:], along[:-2]) / 2
        if kind == "periodic":
            out[0] = turn(along[1], along[-1]) / 2
            out[-1] = turn(along[0], along[-2]) / 2
        else:
            out[0] = turn(along[1], along[0])
            out[-1] = turn(along[-1], along[-2])
    return gradient


def wave_velocity(
    signal: np.ndarray,
    *,
    boundary: str | tuple[str, str] = "periodic",
    difference: str = "central",
) -> np.ndarray:
    """Returns the direction in which the wave travels, nu = -grad phi.

    For x = cos(omega t - k . r) with omega > 0 it is nu = k: it points along the
    propagation, and its length is the local wave number. The NWM paper calls it
    velocity; the speed of the crests is omega / |nu| (`phase_speed`).

    Args:
      signal: complex analytic signal [..., H, W]; usually [T, H, W].
      boundary: as in `phase_gradient`.
      difference: as in `phase_gradient`.

    Returns:
      [..., H, W, 2], (row, column), radians per cell, range and NaN as
      `phase_gradient`.

    Raises:
      UserError: as `phase_gradient`.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), nu = -grad
    phi.
    """
    return -phase_gradient(signal, boundary=boundary, difference=difference)


def temporal_frequency(signal: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns the instantaneous angular frequency, the time derivative of the phase.

        omega(t) = ( arg(a(t+1) conj(a(t))) + arg(a(t) conj(a(t-1))) ) / 2,

    at the first and last sample the one difference that exists. Multiply by the
    sampling rate for radians per second.

    Args:
      signal: complex analytic signal of any shape, at least 2 samples along `axis`.
      axis: the time axis.

    Returns:
      The shape of `signal`, radians per sample, in (-pi, pi]. NaN where a sample that
      it needs has no phase. Negative values are moments at which the signal does not
      behave as one oscillation.

    Raises:
      UserError: `signal` is not complex or too short.

    Source: the discrete form of d phi / d t, e.g. Davis et al. 2020,
    doi:10.1038/s41586-020-2802-y.
    """
    signal = as_signal(signal, 1, "[time, ...]")
    if not -signal.ndim <= axis < signal.ndim or signal.shape[axis] < 2:
        raise UserError(
            f"no frequency along axis {axis} of shape {signal.shape}: at least 2 "
            "samples are needed"
        )
    along = np.moveaxis(signal, axis, 0)
    along = np.where(is_silent(along), along.dtype.type(np.nan), along)
    steps = turn(along[1:], along[:-1])
    omega = np.empty(along.shape, steps.dtype)
    omega[0], omega[-1] = steps[0], steps[-1]
    omega[1:-1] = (steps[1:] + steps[:-1]) / 2
    return np.moveaxis(omega, 0, axis)


def phase_speed(
    frequency: np.ndarray, velocity: np.ndarray, *, min_wave_number: float = 1e-3
) -> np.ndarray:
    """Returns the speed at which points of equal phase move along nu.

        c = omega / |nu|

    Args:
      frequency: omega [..., H, W], radians per sample (`temporal_frequency`).
      velocity: nu [..., H, W, 2], radians per cell (`wave_velocity`).
      min_wave_number: radians per cell; below it the field counts as synchronous.

    Returns:
      [..., H, W], cells per sample, with the sign of omega. NaN where an argument is
      NaN, and where |nu| < `min_wave_number`: cells in synchrony have no finite speed.

    Raises:
      UserError: the shapes do not belong together.

    Source: the definition of phase speed; in Keller & Welling (PMLR 202) nu alone.
    """
    frequency, velocity = np.asarray(frequency), as_vectors(velocity)
    if frequency.shape != velocity.shape[:-1]:
        raise UserError(
            f"frequency {frequency.shape} and velocity {velocity.shape} do not belong "
            "together: the velocity has the shape of the frequency and a last axis of 2"
        )
    number = np.hypot(velocity[..., 0], velocity[..., 1])
    return frequency / np.where(number < min_wave_number, np.nan, number)


def direction(velocity: np.ndarray) -> np.ndarray:
    """Returns the angle of vectors (row, column).

        theta = atan2(row, column)

    Args:
      velocity: [..., 2], any unit.

    Returns:
      [...], radians in [-pi, pi]: 0 towards higher columns (to the right), pi/2 towards
      higher rows (down, where row 0 is drawn at the top). NaN for vectors that are NaN
      or zero.

    Raises:
      UserError: the last axis does not hold 2 real components.

    Source: plane geometry.
    """
    velocity = as_vectors(velocity)
    row, column = velocity[..., 0], velocity[..., 1]
    return np.where((row == 0) & (column == 0), np.nan, np.arctan2(row, column))

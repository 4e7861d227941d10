"""How the phase of a field changes in space and time: direction, speed, coherence.

All functions start from the complex analytic signal a = A exp(i phi) of a field
(`phase.analytic_signal`): differences of phase are angles of products of complex
numbers, so nothing is ever unwrapped. Vectors are (row, column): a positive row component
points towards higher row indices.
"""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.phase import is_silent

_BOUNDARIES = ("periodic", "open")


def phase_gradient(
    signal: np.ndarray, *, boundary: str | tuple[str, str] = "periodic"
) -> np.ndarray:
    """Returns the spatial gradient of the phase by wrapped central differences.

    Along each of the two axes, with i the index along it,

        (grad phi)_i = arg( a(i+1) conj(a(i-1)) ) / 2.

    It is exact for plane waves longer than 4 cells; of shorter ones a central
    difference cannot tell the direction, and gives the alias k -> k - pi sign(k).

    Args:
      signal: complex analytic signal [..., H, W]; usually [T, H, W].
      boundary: "periodic" (a torus: the last cell is the neighbour of the first) or
        "open" (a sheet: at the first and last cell the difference to the one
        neighbour, arg( a(i+1) conj(a(i)) )), or a pair of these for (rows, columns),
        e.g. ("open", "periodic") for a stack of rings.

    Returns:
      [..., H, W, 2], (row, column), radians per cell, in (-pi/2, pi/2] (one-sided
      differences at open ends: (-pi, pi]). NaN where one of the two cells has no phase
      (`phase.is_silent`). Along an axis of one cell it is 0.

    Raises:
      UserError: `signal` is not complex, has fewer than two axes, or a periodic axis of
        two cells, whose two neighbours are the same cell.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202): the spatial
    gradient of the generalised phase (there with the opposite sign, see
    `wave_velocity`).
    """
    signal = _complex(signal, 2, "[..., height, width]")
    boundaries = (boundary,) * 2 if isinstance(boundary, str) else tuple(boundary)
    if len(boundaries) != 2 or any(b not in _BOUNDARIES for b in boundaries):
        raise UserError(
            f"boundary {boundary!r} is not known: use 'periodic', 'open' or a pair of "
            "these for (rows, columns)"
        )
    for size, kind, name in zip(signal.shape[-2:], boundaries, ("rows", "columns")):
        if size == 2 and kind == "periodic":
            raise UserError(
                f"2 {name} cannot be periodic (both neighbours are the same cell): "
                "use boundary='open'"
            )
    signal = np.where(is_silent(signal), signal.dtype.type(np.nan), signal)
    gradient = np.zeros(signal.shape + (2,), signal.real.dtype)
    for component, kind in enumerate(boundaries):
        axis = component - 2
        along = np.moveaxis(signal, axis, 0)
        out = np.moveaxis(gradient[..., component], axis, 0)
        if along.shape[0] == 1:
            out[np.isnan(along)] = np.nan
            continue
        out[1:-1] = _turn(along[2:], along[:-2]) / 2
        if kind == "periodic":
            out[0] = _turn(along[1], along[-1]) / 2
            out[-1] = _turn(along[0], along[-2]) / 2
        else:
            out[0] = _turn(along[1], along[0])
            out[-1] = _turn(along[-1], along[-2])
    return gradient


def wave_velocity(
    signal: np.ndarray, *, boundary: str | tuple[str, str] = "periodic"
) -> np.ndarray:
    """Returns the direction in which the wave travels, nu = -grad phi.

    For x = cos(omega t - k . r) with omega > 0 it is nu = k: it points along the
    propagation, and its length is the local wave number. The NWM paper calls it
    velocity; the speed of the crests is omega / |nu| (`phase_speed`).

    Args:
      signal: complex analytic signal [..., H, W]; usually [T, H, W].
      boundary: as in `phase_gradient`.

    Returns:
      [..., H, W, 2], (row, column), radians per cell, range and NaN as
      `phase_gradient`.

    Raises:
      UserError: as `phase_gradient`.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), nu = -grad
    phi.
    """
    return -phase_gradient(signal, boundary=boundary)


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
    signal = _complex(signal, 1, "[time, ...]")
    if not -signal.ndim <= axis < signal.ndim or signal.shape[axis] < 2:
        raise UserError(
            f"no frequency along axis {axis} of shape {signal.shape}: at least 2 "
            "samples are needed"
        )
    along = np.moveaxis(signal, axis, 0)
    along = np.where(is_silent(along), along.dtype.type(np.nan), along)
    steps = _turn(along[1:], along[:-1])
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
    frequency, velocity = np.asarray(frequency), _vectors(velocity)
    if frequency.shape != velocity.shape[:-1]:
        raise UserError(
            f"frequency {frequency.shape} and velocity {velocity.shape} do not belong "
            "together: the velocity has the shape of the frequency and a last axis of 2"
        )
    number = np.hypot(velocity[..., 0], velocity[..., 1])
    return frequency / np.where(number < min_wave_number, np.nan, number)


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
    velocity = _vectors(velocity)
    length = np.hypot(velocity[..., 0], velocity[..., 1])
    valid = length > 0  # False for NaN
    safe = np.where(valid, length, 1)
    unit = np.where(valid[..., None], velocity, 0) / safe[..., None]
    count = valid.sum(axis=axis)
    total = [unit[..., i].sum(axis=axis, dtype=np.float64) for i in range(2)]
    return np.hypot(*total) / np.where(count, count, np.nan)


def _turn(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """The wrapped phase difference arg(later conj(earlier)), in (-pi, pi]."""
    return np.angle(later * np.conj(earlier))


def _complex(signal: np.ndarray, rank: int, shape: str) -> np.ndarray:
    signal = np.asarray(signal)
    if not np.iscomplexobj(signal):
        raise UserError(
            "a complex analytic signal is needed and the array is real: "
            "pass analytic_signal(x)"
        )
    if signal.ndim < rank:
        raise UserError(f"an array {shape} is needed and the shape is {signal.shape}")
    return signal


def _vectors(velocity: np.ndarray) -> np.ndarray:
    velocity = np.asarray(velocity)
    if velocity.ndim < 1 or velocity.shape[-1] != 2 or np.iscomplexobj(velocity):
        raise UserError(
            "velocity needs a last axis of 2 real components (row, column) and has "
            f"shape {velocity.shape}"
        )
    return velocity

"""Eighth-order integration of many trajectories at once, in float64.

The explicit method of Cooper and Verner (1972, SIAM J. Numer. Anal. 9, 389-405): 11
stages, order 8, with closed-form coefficients in sqrt(21). `integrate` takes fixed
steps, which keep all trajectories of a batch in step: fast, and as exact as the step is
short. `integrate_adaptively` chooses the steps of every trajectory by itself.
"""

import functools
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data.host import float64_on_cpu
from nwm_jax.errors import UserError

_MAX_SUBSTEPS = 10_000  # of a frame

# Of a step that is taken again as two halves: how much the two may differ. The local
# error of the halves, which are kept, is about 2^-8 of that.
_TOLERANCE = 1e-12
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 4.0  # of how much a step may change at a time
# Positions and momenta are each measured by the largest of them, but not by less than
# this part of the whole: below it there is nothing but rounding errors.
_LEAST_SCALE = 1e-4
_LEAST_STEP = 1e-12  # of a frame: a trajectory that needs less is lost

_S = math.sqrt(21.0)

# Stage i is evaluated at y + h sum_j STAGES[i][j] k_j; absent entries are zero.
STAGES: tuple[dict[int, float], ...] = (
    {},
    {0: 1 / 2},
    {0: 1 / 4, 1: 1 / 4},
    {0: 1 / 7, 1: (-7 - 3 * _S) / 98, 2: (21 + 5 * _S) / 49},
    {0: (11 + _S) / 84, 2: (18 + 4 * _S) / 63, 3: (21 - _S) / 252},
    {
        0: (5 + _S) / 48,
        2: (9 + _S) / 36,
        3: (-231 + 14 * _S) / 360,
        4: (63 - 7 * _S) / 80,
    },
    {
        0: (10 - _S) / 42,
        2: (-432 + 92 * _S) / 315,
        3: (633 - 145 * _S) / 90,
        4: (-504 + 115 * _S) / 70,
        5: (63 - 13 * _S) / 35,
    },
    {0: 1 / 14, 4: (14 - 3 * _S) / 126, 5: (13 - 3 * _S) / 63, 6: 1 / 9},
    {
        0: 1 / 32,
        4: (91 - 21 * _S) / 576,
        5: 11 / 72,
        6: (-385 - 75 * _S) / 1152,
        7: (63 + 13 * _S) / 128,
    },
    {
        0: 1 / 14,
        4: 1 / 9,
        5: (-733 - 147 * _S) / 2205,
        6: (515 + 111 * _S) / 504,
        7: (-51 - 11 * _S) / 56,
        8: (132 + 28 * _S) / 245,
    },
    {
        4: (-42 + 7 * _S) / 18,
        5: (-18 + 28 * _S) / 45,
        6: (-273 - 53 * _S) / 72,
        7: (301 + 53 * _S) / 72,
        8: (28 - 28 * _S) / 45,
        9: (49 - 7 * _S) / 18,
    },
)
WEIGHTS: dict[int, float] = {
    0: 1 / 20,
    7: 49 / 180,
    8: 16 / 45,
    9: 49 / 180,
    10: 1 / 20,
}

Field = Callable[..., np.ndarray | jax.Array]


def step(
    field: Callable[[jax.Array], jax.Array], y: jax.Array, h: ArrayLike
) -> jax.Array:
    """One step of the method: y(t + h) from y(t) for y' = field(y).

    Args:
      field: right-hand side, an array to an array of the same shape.
      y: state, any shape.
      h: step size; negative steps go back in time.

    Returns:
      The state after the step, with a local error of order h^9.
    """
    slopes = [field(y)]
    for row in STAGES[1:]:
        slopes.append(field(y + h * _combine(row, slopes)))
    return y + h * _combine(WEIGHTS, slopes)


def _combine(row: Mapping[int, float], slopes: list[jax.Array]) -> jax.Array:
    terms = [weight * slopes[j] for j, weight in row.items()]
    return functools.reduce(lambda a, b: a + b, terms)


def integrate(
    field: Field,
    params: Mapping[str, ArrayLike],
    y0: ArrayLike,
    *,
    dt: float,
    num_steps: int,
    substeps: int = 1,
    **constants: float,
) -> np.ndarray:
    """Solves y' = field(params, y) for a batch of trajectories on a regular time grid.

    Args:
      field: `field(params, y, **constants)`, `[B, d]` to `[B, d]`; must be hashable and
        the same object on every call, or the loop is compiled anew.
      params: constants of each trajectory, arrays with leading axis B.
      y0: states at time 0, `[B, d]`.
      dt: time between frames; negative runs back in time.
      num_steps: how many frames follow the first.
      substeps: steps of the method per frame.
      **constants: further numbers for `field`.

    Returns:
      States at times 0, dt, ..., num_steps dt: float64 `[B, num_steps + 1, d]`.
    """
    with float64_on_cpu():
        later = _frames(
            field,
            {name: np.asarray(value, np.float64) for name, value in params.items()},
            np.asarray(y0, np.float64),
            np.float64(dt) / substeps,
            {name: np.float64(value) for name, value in constants.items()},
            num_steps,
            substeps,
        )
        later = np.asarray(later)
    frames = np.concatenate([np.asarray(y0, np.float64)[None], later])
    return np.ascontiguousarray(frames.swapaxes(0, 1))


def count_substeps(dt: float, max_step: float, name: str = "dt") -> int:
    """How many equal steps of at most `max_step` make a frame, at least 1.

    Args:
      dt: time between frames.
      max_step: longest step.
      name: what the user calls dt.

    Raises:
      UserError: more than anyone can want.
    """
    count = abs(dt) / max_step
    if not count <= _MAX_SUBSTEPS:
        raise UserError(
            f"{name} is {dt:g}: a frame would take more than {_MAX_SUBSTEPS} steps of "
            f"{max_step:g}; it must be at most {_MAX_SUBSTEPS * max_step:g}"
        )
    return max(1, math.ceil(count - 1e-9))


@functools.partial(jax.jit, static_argnums=(0, 5, 6))
def _frames(field, params, y0, h, constants, num_steps, substeps):
    def once(_, y):
        return step(lambda y: field(params, y, **constants), y, h)

    def frame(y, _):
        y = jax.lax.fori_loop(0, substeps, once, y)
        return y, y

    return jax.lax.scan(frame, jnp.asarray(y0), length=num_steps)[1]


def integrate_adaptively(
    field: Field,
    params: Mapping[str, ArrayLike],
    y0: ArrayLike,
    *,
    dt: float,
    num_steps: int,
    substeps: int = 1,
    **constants: float,
) -> np.ndarray:
    """As `integrate`, with steps as short as each trajectory needs, from time to time.

    Args:
      field: see `integrate`.
      params: see `integrate`.
      y0: states at time 0, `[B, d]`: positions, then as many momenta.
      dt: see `integrate`.
      num_steps: see `integrate`.
      substeps: how many steps per frame to try first.
      **constants: see `integrate`.

    Returns:
      See `integrate`; NaN from the frame on that a trajectory could not be followed to.
    """
    y0 = np.asarray(y0, np.float64)
    with float64_on_cpu():
        later = _adaptive_frames(
            field,
            {name: np.asarray(value, np.float64) for name, value in params.items()},
            y0,
            np.float64(dt),
            np.float64(dt) / substeps,
            {name: np.float64(value) for name, value in constants.items()},
            num_steps,
        )
        later = np.asarray(later)
    return np.ascontiguousarray(np.concatenate([y0[None], later]).swapaxes(0, 1))


@functools.partial(jax.jit, static_argnums=(0, 6))
def _adaptive_frames(field, params, y0, dt, h0, constants, num_steps):
    """The frames after the first, `[num_steps, B, d]`; every trajectory has its step."""

    def slope(y):
        return field(params, y, **constants)

    def whole_and_halves(y, h):
        def once(done, part):
            size, start_again = part
            y_next = step(slope, jnp.where(start_again, y, done), size[:, None])
            return y_next, y_next

        parts = jnp.stack([h, h / 2, h / 2]), jnp.array([True, True, False])
        _, (whole, _, halves) = jax.lax.scan(once, y, parts)
        return whole, halves

    def scale(y):
        parts = jnp.abs(y).reshape(len(y), 2, -1).max(-1, keepdims=True)  # of q, of p
        return jnp.maximum(parts, _LEAST_SCALE * parts.max(1, keepdims=True))

    def attempt(carry):
        y, t, h, unfinished, tries = carry
        last = jnp.abs(h) >= jnp.abs(dt - t)
        size = jnp.where(last, dt - t, h)
        whole, halves = whole_and_halves(y, size)
        apart = jnp.abs(whole - halves).reshape(len(y), 2, -1)
        allowed = _TOLERANCE * jnp.maximum(scale(y), scale(halves))
        error = (apart / jnp.maximum(allowed, jnp.finfo(y.dtype).tiny)).max((1, 2))
        good = unfinished & (error <= 1)  # NaN is not
        factor = _SAFETY * jnp.maximum(error, 1e-30) ** (-1 / 9)
        factor = jnp.nan_to_num(jnp.clip(factor, _SHRINK, _GROW), nan=_SHRINK)
        wanted = size * factor
        # A step that was cut by the end of the frame does not shorten the next.
        wanted = jnp.where(last & good & (jnp.abs(wanted) < jnp.abs(h)), h, wanted)
        lost = unfinished & ~good & (jnp.abs(wanted) < _LEAST_STEP * jnp.abs(dt))
        y = jnp.where(lost[:, None], jnp.nan, jnp.where(good[:, None], halves, y))
        t = jnp.where(good, jnp.where(last, dt, t + size), t)
        h = jnp.where(unfinished, wanted, h)
        return y, t, h, unfinished & ~(good & last) & ~lost, tries + 1

    def goes_on(carry):
        *_, unfinished, tries = carry
        return unfinished.any() & (tries < _MAX_SUBSTEPS)

    def frame(carry, _):
        y, h = carry
        begin = (y, jnp.zeros_like(h), h, jnp.isfinite(y).all(-1), 0)
        y, _, h, unfinished, _ = jax.lax.while_loop(goes_on, attempt, begin)
        y = jnp.where(unfinished[:, None], jnp.nan, y)
        return (y, h), y

    begin = jnp.asarray(y0), jnp.full(len(y0), h0)
    return jax.lax.scan(frame, begin, length=num_steps)[1]

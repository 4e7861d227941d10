"""Integrators of ordinary differential equations with a fixed step.

Every integrator is a function ``(field, y, dt) -> y`` that makes one step; y is a pytree
of ``[B, ...]``, and dt a number or one per example, ``[B]``, positive or negative.

General: ``field(y) = dy/dt``. euler, midpoint, rk4, rk38 have order 1, 2, 4, 4.

Symplectic: y is a pair ``(q, p)`` and field a pair ``(velocity, force)`` of a separable
system, ``dq/dt = velocity(p)`` and ``dp/dt = force(q)``. Drifts ``q += a dt velocity(p)``
and kicks ``p += b dt force(q)`` take turns; a method is its list of coefficients. Names
that end with _q or _p say which moves first; without it, the default of the Hamiltonian
benchmark (arXiv:2111.05458): _q for symplectic_euler, _p for leapfrog, so4, so6 and so8.

- symplectic_euler (order 1) and leapfrog (2), also known as Stoermer-Verlet.
- ruth4: Forest & Ruth, Physica D 43, 105 (1990).
- sym4, sym6: Blanes & Moan, J. Comput. Appl. Math. 142, 313 (2002), with 6 and 10
  stages.
- so4, so6, so8: 5, 7 and 15 leapfrogs of different lengths. so4 and so8: McLachlan,
  SIAM J. Sci. Comput. 16, 151 (1995); so6: Yoshida, Phys. Lett. A 150, 262 (1990),
  solution A.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nwm_jax.core.unroll import unroll
from nwm_jax.errors import UserError

State = Any
Step = Callable[[Any, State, jax.Array | float], State]


def _move(y: State, dt: jax.Array | float, slope: State) -> State:
    """``y + dt slope``, with dt along the leading axis of every array."""

    def move(y: jax.Array, slope: jax.Array) -> jax.Array:
        # In the state's own precision, so that a loop's state keeps its type.
        step = jnp.asarray(dt, jnp.result_type(y))
        return y + step.reshape(step.shape + (1,) * (jnp.ndim(y) - step.ndim)) * slope

    return jax.tree.map(move, y, slope)


def _combine(weights: Sequence[float], slopes: Sequence[State]) -> State:
    """``sum_i weights_i slopes_i``."""
    return jax.tree.map(
        lambda *s: sum(w * s_i for w, s_i in zip(weights, s, strict=True)), *slopes
    )


def euler(field: Callable[[State], State], y: State, dt: jax.Array | float) -> State:
    """One explicit Euler step, ``y + dt f(y)``; arguments as the top of the file."""
    return _move(y, dt, field(y))


def midpoint(field: Callable[[State], State], y: State, dt: jax.Array | float) -> State:
    """One midpoint (second-order Runge-Kutta) step, ``y + dt f(y + dt/2 f(y))``."""
    half = _move(y, dt, _combine([1 / 2], [field(y)]))
    return _move(y, dt, field(half))


def rk4(field: Callable[[State], State], y: State, dt: jax.Array | float) -> State:
    """One step of the classical fourth-order Runge-Kutta method."""
    k1 = field(y)
    k2 = field(_move(y, dt, _combine([1 / 2], [k1])))
    k3 = field(_move(y, dt, _combine([1 / 2], [k2])))
    k4 = field(_move(y, dt, k3))
    return _move(y, dt, _combine([1 / 6, 1 / 3, 1 / 3, 1 / 6], [k1, k2, k3, k4]))


def rk38(field: Callable[[State], State], y: State, dt: jax.Array | float) -> State:
    """One step of Kutta's 3/8 rule, of fourth order."""
    k1 = field(y)
    k2 = field(_move(y, dt, _combine([1 / 3], [k1])))
    k3 = field(_move(y, dt, _combine([-1 / 3, 1], [k1, k2])))
    k4 = field(_move(y, dt, _combine([1, -1, 1], [k1, k2, k3])))
    return _move(y, dt, _combine([1 / 8, 3 / 8, 3 / 8, 1 / 8], [k1, k2, k3, k4]))


def _split(
    field: tuple[Callable[[State], State], Callable[[State], State]],
    y: tuple[State, State],
    dt: jax.Array | float,
    *,
    first: str,
    coefficients: tuple[float, ...],
) -> tuple[State, State]:
    """One symplectic step: q and p move in turn, by the coefficients, `first` first."""
    velocity, force = field
    q, p = y
    move_q = first == "q"
    for coefficient in coefficients:
        if move_q:
            q = _move(q, dt, _combine([coefficient], [velocity(p)]))
        else:
            p = _move(p, dt, _combine([coefficient], [force(q)]))
        move_q = not move_q
    return q, p


def _mirror_odd(half: Sequence[float]) -> list[float]:
    """``a, b, ..., m, ..., b, a`` with the m that makes the sum one."""
    return [*half, 1.0 - 2.0 * sum(half), *reversed(half)]


def _mirror_even(half: Sequence[float]) -> list[float]:
    """``a, b, ..., m, m, ..., b, a`` with the m that makes the sum one."""
    return [*half, 0.5 - sum(half), 0.5 - sum(half), *reversed(half)]


def _interleave(outer: Sequence[float], inner: Sequence[float]) -> tuple[float, ...]:
    """Alternates n + 1 coefficients of what moves first with n of what moves second."""
    padded: list[float | None] = [*inner, None]
    pairs = zip(outer, padded, strict=True)
    return tuple(c for pair in pairs for c in pair if c is not None)


def _leapfrogs(half: Sequence[float]) -> tuple[float, ...]:
    """Leapfrogs of the given lengths, mirrored; neighbouring half steps become one."""
    lengths = _mirror_odd(half)
    pairs = zip([0.0, *lengths], [*lengths, 0.0], strict=False)
    return _interleave([(a + b) / 2 for a, b in pairs], lengths)


_THETA = 1.0 / (2.0 - 2.0 ** (1 / 3))
_SO4 = _leapfrogs([0.28, 0.62546642846767004501])
_SO6 = _leapfrogs(
    [0.78451361047755726382, 0.23557321335935813368, -1.17767998417887100695]
)
_SO8 = _leapfrogs(
    [
        *(0.74167036435061295345, -0.40910082580003159400, 0.19075471029623837995),
        *(-0.57386247111608226666, 0.29906418130365592384, 0.33462491824529818378),
        0.31529309239676659663,
    ]
)
_SYM4 = _interleave(
    _mirror_odd([0.0792036964311957, 0.353172906049774, -0.0420650803577195]),
    _mirror_even([0.209515106613362, -0.143851773179818]),
)
_SYM6 = _interleave(
    _mirror_odd(
        [
            *(0.0502627644003922, 0.413514300428344, 0.0450798897943977),
            *(-0.188054853819569, 0.541960678450780),
        ]
    ),
    _mirror_even(
        [0.148816447901042, -0.132385865767784, 0.067307604692185, 0.432666402578175]
    ),
)

GENERAL: dict[str, Step] = {
    "euler": euler,
    "midpoint": midpoint,
    "rk4": rk4,
    "rk38": rk38,
}
SYMPLECTIC: dict[str, Step] = {
    name: functools.partial(_split, first=first, coefficients=coefficients)
    for name, first, coefficients in [
        ("symplectic_euler", "q", (1.0, 1.0)),
        ("symplectic_euler_q", "q", (1.0, 1.0)),
        ("symplectic_euler_p", "p", (1.0, 1.0)),
        ("leapfrog", "p", (0.5, 1.0, 0.5)),
        ("leapfrog_q", "q", (0.5, 1.0, 0.5)),
        ("leapfrog_p", "p", (0.5, 1.0, 0.5)),
        ("ruth4", "q", _leapfrogs([_THETA])),
        ("sym4", "p", _SYM4),
        ("sym6", "p", _SYM6),
        ("so4", "p", _SO4),
        ("so4_q", "q", _SO4),
        ("so4_p", "p", _SO4),
        ("so6", "p", _SO6),
        ("so6_q", "q", _SO6),
        ("so6_p", "p", _SO6),
        ("so8", "p", _SO8),
        ("so8_q", "q", _SO8),
        ("so8_p", "p", _SO8),
    ]
}


def get(name: str) -> Step:
    """The integrator called `name`.

    Args:
      name: a key of `GENERAL` or `SYMPLECTIC`.

    Returns:
      The function ``(field, y, dt) -> y`` of one step.

    Raises:
      UserError: there is no such integrator.
    """
    step = GENERAL.get(name) or SYMPLECTIC.get(name)
    if step is None:
        raise UserError(
            f"unknown integrator {name!r}; general: {', '.join(GENERAL)}; "
            f"symplectic: {', '.join(SYMPLECTIC)}"
        )
    return step


def integrate(
    step: Callable[[State, jax.Array | float], State],
    y0: State,
    dt: jax.Array | float,
    num_steps: int,
    *,
    remat: int = 0,
) -> State:
    """Makes `num_steps` steps: ``y_{t+1} = step(y_t, dt)``.

    Args:
      step: one step, such as ``functools.partial(get("rk4"), field)``.
      y0: the state at the start, a pytree of ``[B, ...]``.
      dt: length of a step, a number or ``[B]``; negative goes back in time.
      num_steps: how many steps, >= 0.
      remat: block length of rematerialisation, see `core.unroll`; 0 = off.

    Returns:
      The states after each step, without y0: a pytree of ``[B, num_steps, ...]``.

    Raises:
      UserError: a negative `num_steps`.
    """
    if num_steps < 0:
        raise UserError(f"num_steps must be 0 or more, got {num_steps}")
    y0 = jax.tree.map(lambda y: jnp.asarray(y, jnp.result_type(y, float)), y0)

    # The steps have no input but their number.
    ticks = jnp.zeros((1, num_steps))
    return unroll(lambda y, _: step(y, dt), y0, ticks, remat=remat)[1]


def integrate_both_ways(
    step: Callable[[State, jax.Array | float], State],
    y0: State,
    dt: jax.Array | float,
    num_back: int,
    num_forward: int,
    include_start: bool = True,
    *,
    remat: int = 0,
) -> State:
    """Integrates from y0 into the past and into the future, in order of time.

    Args:
      step: one step, as for `integrate`.
      y0: the state at time 0, a pytree of ``[B, ...]``.
      dt: length of a step, a number or ``[B]``; the sign says which way is forward.
      num_back: steps with -dt, >= 0.
      num_forward: steps with dt, >= 0.
      include_start: whether y0 itself stands between past and future.
      remat: as for `integrate`.

    Returns:
      The states at times ``-num_back dt ... -dt, (0), dt ... num_forward dt``: a pytree of
      ``[B, num_back + include_start + num_forward, ...]``.

    Raises:
      UserError: a negative number of steps.
    """
    past = integrate(step, y0, jnp.negative(dt), num_back, remat=remat)
    future = integrate(step, y0, dt, num_forward, remat=remat)

    def join(past: jax.Array, start: jax.Array, future: jax.Array) -> jax.Array:
        start = jnp.asarray(start, past.dtype)[:, None]
        middle = [start] if include_start else []
        return jnp.concatenate([past[:, ::-1], *middle, future], axis=1)

    return jax.tree.map(join, past, y0, future)

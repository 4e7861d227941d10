"""Powers of the transition of a linear oscillator: many steps at once."""

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core.equations import aligned
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.transition import Transition, advance


def compose(after: Transition, before: Transition) -> Transition:
    """The matrix of one step after another; forces are left out."""
    after = Transition(*(aligned(entry, before.xx) for entry in after))
    xx = after.xx * before.xx + after.xv * before.vx
    return Transition(
        xx,
        after.xx * before.xv + after.xv * before.vv,
        after.vx * before.xx + after.vv * before.vx,
        after.vx * before.xv + after.vv * before.vv,
        jnp.zeros_like(xx),
        jnp.zeros_like(xx),
    )


def power(step: Transition, exponent: int) -> Transition:
    """``M^exponent``, ``exponent >= 1``, by squaring."""
    power: Transition | None = None
    while exponent:
        if exponent % 2:
            power = step if power is None else compose(step, power)
        step, exponent = compose(step, step), exponent // 2
    assert power is not None  # exponent >= 1
    return power


def powers(step: Transition, times: int) -> Transition:
    """``M^1 ... M^times`` along a new first axis, by doubling."""
    powers = Transition(*(entry[None] for entry in step))
    reach = step
    while len(powers.xx) < times:
        powers = Transition(
            *map(lambda a, b: jnp.concatenate([a, b]), powers, compose(reach, powers))
        )
        reach = compose(reach, reach)
    return Transition(*(entry[:times] for entry in powers))


def responses(step: Transition, times: int) -> OscillatorState:
    """The state 0, 1, ... `times` - 1 steps after a force of 1 for one step."""
    states = OscillatorState(step.xf[None], step.vf[None])
    reach = step
    while len(states.x) < times:
        later = advance(reach, states, jnp.zeros((), states.x.real.dtype))
        states = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), states, later)
        reach = compose(reach, reach)
    return OscillatorState(*(s[:times] for s in states))


def table(step: Transition, length: int) -> jax.Array:
    """From a state and the forces of `length` times to the states of these times.

    Args:
      step: entries of one shape, ``[*modes]``.
      length: L, times.

    Returns:
      Real matrices, one for every mode, ``[M, 2 P L, 2 P + P L]``. P = 2: real and
      imaginary parts, or 1 of real modes. Rows: P parts of x at all times, then of v.
      Columns: P parts of x before, then of v, P parts of the force at all times.
    """
    moved = powers(step, length)
    forced = responses(step, length)
    # Response of time l to the force of time j, zero before it.
    ago = np.subtract.outer(np.arange(length), np.arange(length))

    def columns(entry: jax.Array) -> jax.Array:
        return entry.reshape(length, -1).T[:, :, None]

    def toeplitz(entry: jax.Array) -> jax.Array:
        return jnp.where(ago >= 0, entry.reshape(length, -1).T[:, abs(ago)], 0.0)

    x = [columns(moved.xx), columns(moved.xv), toeplitz(forced.x)]
    v = [columns(moved.vx), columns(moved.vv), toeplitz(forced.v)]
    rows = [jnp.concatenate([*map(_as_real, row)], axis=2) for row in (x, v)]
    return jnp.concatenate(rows, axis=1)


def _as_real(matrices: jax.Array) -> jax.Array:
    """Matrices that do to real and imaginary parts what complex ones do to numbers."""
    if not jnp.iscomplexobj(matrices):
        return matrices
    real, imaginary = parts(matrices)
    upper = jnp.concatenate([real, -imaginary], axis=2)
    return jnp.concatenate([upper, jnp.concatenate([imaginary, real], axis=2)], axis=1)


def parts(array: jax.Array) -> tuple[jax.Array, ...]:
    """The real and the imaginary part of complex numbers, or real ones alone."""
    return (array.real, array.imag) if jnp.iscomplexobj(array) else (array,)

"""Powers of the transition of a linear oscillator: many steps at once."""

import jax
import jax.numpy as jnp

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

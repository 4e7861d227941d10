"""Whole sequences of a field of linear oscillators, without stepping through them.

The recurrence ``z_t = M z_{t-1} + p f_t`` of `core.linear_wave` is linear, and M is the
same at all times, so that

    z_t = M^t z_0 + sum_{j <= t} M^{t-j} p f_j

Methods, which agree to rounding:

  sequential   one step after the other.
  associative  pairs of neighbouring times are merged again and again: about 2 log2(T)
               steps that each treat many times at once, and as much work as stepping.
  chunked      chunks of times one after the other; inside of a chunk the sum over j is one
               product with the matrix of the responses M^{t-j} p.

Where a vector of F numbers drives the field, the responses are multiplied with the input
map once and the modes of single drives never exist. Where only the last state is wanted
(`last_state`), a chunk is one product ``[B, L F] x [L F, modes]``: for a short sequence the
whole sequence is one chunk.
"""

import functools

import jax
import jax.numpy as jnp

from nwm_jax.core import linear_wave, spectral
from nwm_jax.core.linear_wave import (
    LinearWaveHParams,
    LinearWaveParams,
    LinearWaveState,
    advance,
)
from nwm_jax.core.transition import Transition
from nwm_jax.errors import UserError

METHODS = ("auto", "sequential", "associative", "chunked")


def scan(
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    state: LinearWaveState,
    inputs: jax.Array,
    *,
    method: str = "auto",
    chunk: int = 16,
) -> tuple[LinearWaveState, LinearWaveState]:
    """Computes the states after every step of a sequence.

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v before the first step, ``[B, *field_shape]``.
      inputs: ``[B, T, F]`` (dense) or ``[B, T, *size, C_in]`` (pointwise).
      method: one of `METHODS`; "auto" is chunked on CPUs, else associative.
      chunk: times of a chunk, 1 or more.

    Returns:
      The last state, and all states ``[B, T, *field_shape]``.

    Raises:
      UserError: unknown method, or a chunk below 1.
    """
    _check(method, chunk)
    step = linear_wave.transitions(hparams, params)
    modes = linear_wave.to_modes(hparams, state)
    forces = _forces(hparams, params, inputs)
    if method == "auto":
        last, states = jax.lax.platform_dependent(
            step,
            modes,
            forces,
            cpu=functools.partial(_chunked, chunk=chunk),
            default=_associative,
        )
    else:
        ways = {
            "sequential": _sequential,
            "associative": _associative,
            "chunked": functools.partial(_chunked, chunk=chunk),
        }
        last, states = ways[method](step, modes, forces)
    return (
        linear_wave.to_fields(hparams, last),
        linear_wave.to_fields(hparams, states),
    )


def last_state(
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    state: LinearWaveState,
    inputs: jax.Array,
    *,
    chunk: int = 1024,
) -> LinearWaveState:
    """Computes the state after a sequence of vectors (forcing "dense").

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v before the first step, ``[B, *field_shape]``.
      inputs: ``[B, T, F]``.
      chunk: times that are one product; memory is that of the responses to `chunk`
        inputs, and of one state per chunk.

    Returns:
      The last state.

    Raises:
      UserError: a pointwise forcing, or a chunk below 1.
    """
    _check("auto", chunk)
    if hparams.forcing != "dense":
        raise UserError("last_state needs forcing='dense'; use scan")
    step = linear_wave.transitions(hparams, params)
    modes = linear_wave.to_modes(hparams, state)
    weights = spectral.to_modes(params.forcing, hparams.rank)
    chunk = min(chunk, inputs.shape[1])
    head = inputs.shape[1] % chunk
    # Responses to an input l steps ago, the oldest first as the inputs of a chunk are.
    response = [
        jnp.flip(jnp.expand_dims(r, 1) * weights, 0) for r in _responses(step, chunk)
    ]
    across = _power(step, chunk)

    def add(
        modes: LinearWaveState, inputs: jax.Array, across: Transition
    ) -> LinearWaveState:
        batch, times, features = inputs.shape
        flat = inputs.reshape(batch, times * features)
        forced = LinearWaveState(
            *(_product(flat, r[chunk - times :]) for r in response)
        )
        moved = advance(across, modes, jnp.zeros((), inputs.dtype))
        return jax.tree.map(jnp.add, moved, forced)

    if head:
        modes = add(modes, inputs[:, :head], _power(step, head))
    rest = inputs[:, head:].reshape(len(inputs), -1, chunk, inputs.shape[-1])
    if rest.shape[1] == 1:
        modes = add(modes, rest[:, 0], across)
    else:
        modes, _ = jax.lax.scan(
            jax.checkpoint(
                lambda modes, part: (add(modes, part, across), None), prevent_cse=False
            ),
            _as_modes(modes, response[0].dtype),
            jnp.moveaxis(rest, 1, 0),
        )
    return linear_wave.to_fields(hparams, modes)


def _check(method: str, chunk: int) -> None:
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}; one of {', '.join(METHODS)}")
    if chunk < 1:
        raise UserError(f"chunk must be 1 or more, got {chunk}")


def _forces(
    hparams: LinearWaveHParams, params: LinearWaveParams, inputs: jax.Array
) -> jax.Array:
    """The modes of the drives, ``[B, T, *modes, C]``."""
    if hparams.forcing == "dense":
        # The input map is transformed, not what it makes of every time.
        weights = spectral.to_modes(params.forcing, hparams.rank)
        batch, times, features = inputs.shape
        flat = _product(inputs.reshape(-1, features), weights[None])
        return flat.reshape(batch, times, *weights.shape[1:])
    return spectral.to_modes(linear_wave.drive(hparams, params, inputs), hparams.rank)


def _product(rows: jax.Array, columns: jax.Array) -> jax.Array:
    """``rows [B, K]`` times real or complex columns ``[L, F, *modes]``, K = L F."""
    flat = columns.reshape(rows.shape[-1], -1)

    def multiply(matrix: jax.Array) -> jax.Array:
        return jnp.matmul(rows, matrix, precision="highest")

    if not jnp.iscomplexobj(flat):
        out = multiply(flat)
    else:  # two real products: a complex one would multiply by zeros
        out = jax.lax.complex(multiply(flat.real), multiply(flat.imag))
    return out.reshape(len(rows), *columns.shape[2:])


def _as_modes(modes: LinearWaveState, dtype: jnp.dtype) -> LinearWaveState:
    return jax.tree.map(lambda m: m.astype(dtype), modes)


def _sequential(
    step: Transition, modes: LinearWaveState, forces: jax.Array
) -> tuple[LinearWaveState, LinearWaveState]:
    def body(
        modes: LinearWaveState, force: jax.Array
    ) -> tuple[LinearWaveState, LinearWaveState]:
        modes = advance(step, modes, force)
        return modes, modes

    modes = _as_modes(modes, forces.dtype)
    last, states = jax.lax.scan(body, modes, jnp.moveaxis(forces, 1, 0))
    return last, jax.tree.map(lambda s: jnp.moveaxis(s, 0, 1), states)


def _associative(
    step: Transition, modes: LinearWaveState, forces: jax.Array
) -> tuple[LinearWaveState, LinearWaveState]:
    states = LinearWaveState(step.xf * forces, step.vf * forces)
    first = advance(step, modes, forces[:, 0])
    states = jax.tree.map(lambda s, f: s.at[:, 0].set(f), states, first)
    states = _merge(step, states)
    return jax.tree.map(lambda s: s[:, -1], states), states


def _merge(step: Transition, added: LinearWaveState) -> LinearWaveState:
    """``z_t = M z_{t-1} + added_t`` with ``z_{-1} = 0``, along axis 1.

    Odd times first, as a recurrence of half the length with M^2; even times from them.
    """
    times = added.x.shape[1]
    if times == 1:
        return added
    even = jax.tree.map(lambda a: a[:, ::2], added)
    odd = jax.tree.map(lambda a: a[:, 1::2], added)
    pairs = _plus(step, jax.tree.map(lambda e: e[:, : times // 2], even), odd)
    odd = _merge(_compose(step, step), pairs)
    before = jax.tree.map(lambda o: o[:, : (times - 1) // 2], odd)
    later = _plus(step, before, jax.tree.map(lambda e: e[:, 1:], even))

    def weave(even: jax.Array, later: jax.Array, odd: jax.Array) -> jax.Array:
        even = jnp.concatenate([even[:, :1], later], axis=1)
        if times % 2:
            pad = [(0, 0)] * odd.ndim
            pad[1] = (0, 1)
            odd = jnp.pad(odd, pad)
        both = jnp.stack([even, odd], axis=2)
        return both.reshape(len(both), -1, *even.shape[2:])[:, :times]

    return jax.tree.map(weave, even, later, odd)


def _plus(
    step: Transition, states: LinearWaveState, added: LinearWaveState
) -> LinearWaveState:
    moved = advance(step, states, jnp.zeros((), added.x.real.dtype))
    return jax.tree.map(jnp.add, moved, added)


def _chunked(
    step: Transition, modes: LinearWaveState, forces: jax.Array, *, chunk: int
) -> tuple[LinearWaveState, LinearWaveState]:
    batch, times = forces.shape[:2]
    chunk = min(chunk, times)
    head = times % chunk
    response = _responses(step, chunk)
    powers = _powers(step, chunk)
    # Response of time l to the force of time j, zero before it: [L, L, *modes].
    ago = jnp.arange(chunk)[:, None] - jnp.arange(chunk)
    seen = (ago >= 0).reshape(chunk, chunk, *[1] * (response[0].ndim - 1))
    tables = [jnp.where(seen, r[jnp.abs(ago)], 0.0) for r in response]

    def body(
        modes: LinearWaveState, forces: jax.Array
    ) -> tuple[LinearWaveState, LinearWaveState]:
        n = forces.shape[1]
        start = jax.tree.map(lambda m: m[:, None], modes)
        moved = advance(
            Transition(*(p[:n] for p in powers)), start, jnp.zeros((), forces.dtype)
        )
        forced = LinearWaveState(*(_weigh(t[:n, :n], forces) for t in tables))
        states = jax.tree.map(jnp.add, moved, forced)
        return jax.tree.map(lambda s: s[:, -1], states), states

    modes = _as_modes(modes, jnp.result_type(forces, tables[0]))
    parts = []
    if head:
        modes, states = body(modes, forces[:, :head])
        parts.append(states)
    rest = forces[:, head:].reshape(batch, -1, chunk, *forces.shape[2:])
    modes, states = jax.lax.scan(
        jax.checkpoint(body, prevent_cse=False), modes, jnp.moveaxis(rest, 1, 0)
    )
    parts.append(
        jax.tree.map(
            lambda s: jnp.moveaxis(s, 0, 1).reshape(batch, -1, *s.shape[3:]), states
        )
    )
    return modes, jax.tree.map(lambda *p: jnp.concatenate(p, axis=1), *parts)


def _weigh(table: jax.Array, forces: jax.Array) -> jax.Array:
    """Sums over times: ``out[b, l, m] = sum_j table[l, j, m] forces[b, j, m]``."""

    def multiply(table: jax.Array, forces: jax.Array) -> jax.Array:
        return jnp.einsum("lj...,bj...->bl...", table, forces, precision="highest")

    if not jnp.iscomplexobj(forces):
        return multiply(table, forces)
    if not jnp.iscomplexobj(table):
        return jax.lax.complex(
            multiply(table, forces.real), multiply(table, forces.imag)
        )
    return jax.lax.complex(
        multiply(table.real, forces.real) - multiply(table.imag, forces.imag),
        multiply(table.real, forces.imag) + multiply(table.imag, forces.real),
    )


def _compose(after: Transition, before: Transition) -> Transition:
    """The matrix of one step after another; forces are left out."""
    xx = after.xx * before.xx + after.xv * before.vx
    return Transition(
        xx,
        after.xx * before.xv + after.xv * before.vv,
        after.vx * before.xx + after.vv * before.vx,
        after.vx * before.xv + after.vv * before.vv,
        jnp.zeros_like(xx),
        jnp.zeros_like(xx),
    )


def _power(step: Transition, exponent: int) -> Transition:
    """``M^exponent``, ``exponent >= 1``, by squaring."""
    power = None
    while exponent:
        if exponent % 2:
            power = step if power is None else _compose(step, power)
        step, exponent = _compose(step, step), exponent // 2
    return power


def _powers(step: Transition, times: int) -> Transition:
    """``M^1 ... M^times`` along a new first axis, by doubling."""
    powers = Transition(*(entry[None] for entry in step))
    reach = step
    while len(powers.xx) < times:
        powers = Transition(
            *map(lambda a, b: jnp.concatenate([a, b]), powers, _compose(reach, powers))
        )
        reach = _compose(reach, reach)
    return Transition(*(entry[:times] for entry in powers))


def _responses(step: Transition, times: int) -> LinearWaveState:
    """The state 0, 1, ... `times` - 1 steps after a force of 1 for one step."""
    states = LinearWaveState(step.xf[None], step.vf[None])
    reach = step
    while len(states.x) < times:
        later = advance(reach, states, jnp.zeros((), states.x.real.dtype))
        states = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), states, later)
        reach = _compose(reach, reach)
    return jax.tree.map(lambda s: s[:times], states)

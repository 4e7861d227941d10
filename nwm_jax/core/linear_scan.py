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
from collections.abc import Callable

import jax
import jax.numpy as jnp

from nwm_jax.core import linear_wave, spectral, transition_powers
from nwm_jax.core.equations import aligned
from nwm_jax.core.linear_wave import (
    LinearWaveHParams,
    LinearWaveParams,
)
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.transition import Transition, advance
from nwm_jax.errors import UserError

# Modes of a batch below which a step on a CPU is mostly the overhead of the loop: of a ring
# of 16, loss and gradient of 5,000 times took 5 ms chunked and 14 sequential with 9 modes, 27
# and 25 with 36, 136 and 113 with 144 (docs/results/linear_scan.py, one core of an EPYC).
_FEW_MODES = 64
METHODS = ("auto", "sequential", "associative", "chunked")


def scan(
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    state: OscillatorState,
    inputs: jax.Array,
    *,
    method: str = "auto",
    chunk: int = 16,
    transitions: Transition | None = None,
) -> tuple[OscillatorState, OscillatorState]:
    """Computes the states after every step of a sequence.

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v before the first step, ``[B, *field_shape]``.
      inputs: ``[B, T, F]`` (dense) or ``[B, T, *size, C_in]`` (pointwise).
      method: one of `METHODS`; "auto" is associative on accelerators; on CPUs
        sequential, for few modes chunked.
      chunk: times of a chunk, 1 or more.
      transitions: `linear_wave.transitions(hparams, params)`, where several calls
        share it.

    Returns:
      The last state, and all states ``[B, T, *field_shape]``.

    Raises:
      UserError: unknown method, or a chunk below 1.
    """
    check(method, chunk)
    step = transitions or linear_wave.transitions(hparams, params)
    forces = _forces(hparams, params, inputs)
    return _scan(hparams, step, state, forces, method, chunk)


def scan_drives(
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    state: OscillatorState,
    drives: jax.Array,
    *,
    method: str = "auto",
    chunk: int = 16,
    transitions: Transition | None = None,
) -> tuple[OscillatorState, OscillatorState]:
    """Computes as `scan` what given forces do.

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v before the first step, ``[B, *field_shape]``.
      drives: the force within every step, ``[B, T, *field_shape]``.
      method: as of `scan`.
      chunk: as of `scan`.
      transitions: as of `scan`.

    Returns:
      The last state, and all states ``[B, T, *field_shape]``.

    Raises:
      UserError: unknown method, or a chunk below 1.
    """
    check(method, chunk)
    step = transitions or linear_wave.transitions(hparams, params)
    forces = spectral.to_modes(drives, hparams.rank)
    return _scan(hparams, step, state, forces, method, chunk)


def _scan(
    hparams: LinearWaveHParams,
    step: Transition,
    state: OscillatorState,
    forces: jax.Array,
    method: str,
    chunk: int,
) -> tuple[OscillatorState, OscillatorState]:
    modes = linear_wave.to_modes(hparams, state)
    chunked = functools.partial(_chunked, chunk=chunk)
    ways: dict[str, Callable[..., tuple[OscillatorState, OscillatorState]]] = {
        "sequential": _sequential,
        "associative": _associative,
        "chunked": chunked,
    }
    if method == "auto":
        few = forces[:, 0].size < _FEW_MODES
        last, states = jax.lax.platform_dependent(
            step,
            modes,
            forces,
            cpu=chunked if few else _sequential,
            default=_associative,
        )
    else:
        last, states = ways[method](step, modes, forces)
    return (
        linear_wave.to_fields(hparams, last),
        linear_wave.to_fields(hparams, states),
    )


def last_state(
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    state: OscillatorState,
    inputs: jax.Array,
    *,
    chunk: int = 1024,
    transitions: Transition | None = None,
) -> OscillatorState:
    """Computes the state after a sequence, without those before it.

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v before the first step, ``[B, *field_shape]``.
      inputs: ``[B, T, F]`` (dense) or ``[B, T, *size, C_in]`` (pointwise).
      chunk: times that are one product; memory is that of the responses to `chunk`
        inputs (pointwise: and of their modes), and of one state per chunk.
      transitions: as of `scan`.

    Returns:
      The last state.

    Raises:
      UserError: a chunk below 1.
    """
    check("auto", chunk)
    step = transitions or linear_wave.transitions(hparams, params)
    modes = linear_wave.to_modes(hparams, state)
    chunk = min(chunk, inputs.shape[1])
    head = inputs.shape[1] % chunk
    # Responses to a force l steps ago, the oldest first as the inputs of a chunk are.
    response = [jnp.flip(r, 0) for r in transition_powers.responses(step, chunk)]
    if hparams.forcing == "dense":
        weights = spectral.to_modes(params.forcing, hparams.rank)
        response = [jnp.expand_dims(r, 1) * weights[None] for r in response]
    across = transition_powers.power(step, chunk)

    def force(inputs: jax.Array) -> OscillatorState:
        batch, times = inputs.shape[:2]
        parts = [r[chunk - times :] for r in response]
        if hparams.forcing == "dense":
            flat = inputs.reshape(batch, -1)
            return OscillatorState(*(_product(flat, part) for part in parts))
        forces = _forces(hparams, params, inputs)
        return OscillatorState(*(_weigh(part[None], forces)[:, 0] for part in parts))

    def add(
        modes: OscillatorState, inputs: jax.Array, across: Transition
    ) -> OscillatorState:
        moved = advance(across, modes, jnp.zeros((), inputs.dtype))
        return OscillatorState(*map(jnp.add, moved, force(inputs)))

    if head:
        modes = add(modes, inputs[:, :head], transition_powers.power(step, head))
    rest = inputs[:, head:].reshape(len(inputs), -1, chunk, *inputs.shape[2:])
    if rest.shape[1] == 1:
        modes = add(modes, rest[:, 0], across)
    else:
        modes, _ = jax.lax.scan(
            jax.checkpoint(
                lambda modes, part: (add(modes, part, across), None), prevent_cse=False
            ),
            _as_modes(modes, jnp.result_type(modes.x, response[0])),
            jnp.moveaxis(rest, 1, 0),
        )
    return linear_wave.to_fields(hparams, modes)


def check(method: str, chunk: int = 1) -> None:
    """Raises UserError for a method or a length of chunks that there is not."""
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


def _as_modes(modes: OscillatorState, dtype: jnp.dtype) -> OscillatorState:
    return OscillatorState(*(m.astype(dtype) for m in modes))


def _sequential(
    step: Transition, modes: OscillatorState, forces: jax.Array
) -> tuple[OscillatorState, OscillatorState]:
    def body(
        modes: OscillatorState, force: jax.Array
    ) -> tuple[OscillatorState, OscillatorState]:
        modes = advance(step, modes, force)
        return modes, modes

    modes = _as_modes(modes, forces.dtype)
    last, states = jax.lax.scan(body, modes, jnp.moveaxis(forces, 1, 0))
    return last, jax.tree.map(lambda s: jnp.moveaxis(s, 0, 1), states)


def _associative(
    step: Transition, modes: OscillatorState, forces: jax.Array
) -> tuple[OscillatorState, OscillatorState]:
    states = OscillatorState(
        *(aligned(response, forces) * forces for response in (step.xf, step.vf))
    )
    first = advance(step, modes, forces[:, 0])
    states = jax.tree.map(lambda s, f: s.at[:, 0].set(f), states, first)
    states = _merge(step, states)
    return jax.tree.map(lambda s: s[:, -1], states), states


def _merge(step: Transition, added: OscillatorState) -> OscillatorState:
    """``z_t = M z_{t-1} + added_t`` with ``z_{-1} = 0``, along axis 1.

    Odd times first, as a recurrence of half the length with M^2; even times from them.
    """
    times = added.x.shape[1]
    if times == 1:
        return added
    even = jax.tree.map(lambda a: a[:, ::2], added)
    odd = jax.tree.map(lambda a: a[:, 1::2], added)
    pairs = _plus(step, jax.tree.map(lambda e: e[:, : times // 2], even), odd)
    odd = _merge(transition_powers.compose(step, step), pairs)
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

    return OscillatorState(*map(weave, even, later, odd))


def _plus(
    step: Transition, states: OscillatorState, added: OscillatorState
) -> OscillatorState:
    moved = advance(step, states, jnp.zeros((), added.x.real.dtype))
    return OscillatorState(*map(jnp.add, moved, added))


def _chunked(
    step: Transition, modes: OscillatorState, forces: jax.Array, *, chunk: int
) -> tuple[OscillatorState, OscillatorState]:
    """Products of real matrices, one for every mode and chunk.

    Their columns are the state before a chunk and the forces of its L times, their rows
    the states of these times; P = 2 parts, real and imaginary, or 1 of real modes. The
    modes come first: XLA's products with several axes before the matrices are slow where
    these are not the leading ones.
    """
    batch, times, *space = forces.shape
    num_chunks = -(-times // chunk)
    length = -(-times // num_chunks)  # chunks of equal length, the last one padded
    padded = num_chunks * length
    dtype = jnp.result_type(forces, step.xx)
    step = Transition(*(entry.astype(dtype) for entry in jnp.broadcast_arrays(*step)))
    num_modes = step.xx.size  # rings share them: their axis goes with the batch
    table = transition_powers.table(step, length)  # [modes, 2 P L, 2 P + P L]

    def fold(array: jax.Array, chunks: int, length: int) -> jax.Array:
        """``[B, chunks length, *space]`` -> ``[chunks, modes, P length, B rings]``."""
        array = array.astype(dtype).reshape(batch, chunks, length, -1, num_modes)
        array = array.transpose(1, 4, 2, 0, 3).reshape(chunks, num_modes, length, -1)
        return jnp.concatenate(transition_powers.parts(array), axis=2)

    def unfold(array: jax.Array) -> jax.Array:
        """``[chunks, modes, P, length, B rings]`` -> ``[B, chunks length, *space]``."""
        array = array.reshape(*array.shape[:4], batch, -1)
        array = array.transpose(2, 4, 0, 3, 5, 1)
        parts = array.reshape(-1, batch, padded, *space)
        return jax.lax.complex(*parts) if len(parts) == 2 else parts[0]

    padding = [(0, 0), (0, padded - times), *[(0, 0)] * len(space)]
    forces = fold(jnp.pad(forces, padding), num_chunks, length)
    start = jnp.concatenate([fold(m[:, None], 1, 1)[0] for m in modes], axis=1)

    def body(start: jax.Array, forces: jax.Array) -> tuple[jax.Array, jax.Array]:
        columns = jnp.concatenate([start, forces], axis=1)
        states = jnp.matmul(table, columns, precision="highest")
        states = states.reshape(num_modes, -1, length, states.shape[-1])
        return states[:, :, -1], states

    _, out = jax.lax.scan(jax.checkpoint(body, prevent_cse=False), start, forces)
    states = OscillatorState(*(unfold(half) for half in jnp.split(out, 2, axis=2)))
    states = jax.tree.map(lambda s: s[:, :times], states)
    return jax.tree.map(lambda s: s[:, -1], states), states


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

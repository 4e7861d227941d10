"""Gated and plain recurrent networks exactly as the forecasting benchmark defines them.

They follow DeepMind's Haiku (arXiv:2111.05458 uses its cells), which differs from
Flax: the GRU resets the state before the recurrent product and packs its gates as
update, reset, candidate. Every cell has the four functions of a cell (`init_*`,
zeros as initial state, `*_drive`, `*_step`); the drive is the input's part of the
pre-activations, so that it is computed for all times at once.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nwm_jax.core import init
from nwm_jax.core.equations import aligned


class GRUParams(NamedTuple):
    """``w_i [F, 3N]``, ``w_h [N, 3N]``, ``b [3N]``; columns: update, reset, candidate."""

    w_i: jax.Array
    w_h: jax.Array
    b: jax.Array


class LSTMParams(NamedTuple):
    """``w [F + N, 4N]`` on (input, state), ``b [4N]``; columns: i, g, f, o."""

    w: jax.Array
    b: jax.Array


class VanillaParams(NamedTuple):
    """``w_i [F, N]``, ``b_i [N]``, ``w_h [N, N]``, ``b_h [N]``."""

    w_i: jax.Array
    b_i: jax.Array
    w_h: jax.Array
    b_h: jax.Array


class LSTMState(NamedTuple):
    """Output h and memory c, each ``[B, N]``."""

    h: jax.Array
    c: jax.Array


def init_gru(
    key: jax.Array, inputs: int, units: int, dtype: DTypeLike = jnp.float32
) -> GRUParams:
    """Draws the weights of a GRU of `units` cells on `inputs` features.

    Args:
      key: a random key.
      inputs: F, length of an input.
      units: N, length of a state.
      dtype: of the weights.

    Returns:
      `w_i` and `w_h` as `core.init.gated` draws them, `b` zero.
    """
    key_i, key_h = jax.random.split(key)
    return GRUParams(
        w_i=init.gated(key_i, (inputs, 3 * units), dtype),
        w_h=init.gated(key_h, (units, 3 * units), dtype),
        b=jnp.zeros(3 * units, dtype),
    )


def gru_drive(params: GRUParams, inputs: jax.Array) -> jax.Array:
    """The inputs' part of the pre-activations: ``u w_i + b``.

    Args:
      params: the weights.
      inputs: u, ``[..., F]``: all times at once.

    Returns:
      ``[..., 3N]``, for `gru_step`.
    """
    forced = inputs @ params.w_i
    return forced + aligned(params.b, forced)


def gru_step(params: GRUParams, h: jax.Array, drive: jax.Array) -> jax.Array:
    """One step of the GRU.

        z, r = sigmoid(drive_zr + h W_zr);  a = tanh(drive_a + (r h) W_a)
        h' = (1 - z) h + z a

    Args:
      params: the weights.
      h: state ``[B, N]``.
      drive: ``[B, 3N]`` from `gru_drive`.

    Returns:
      The next state ``[B, N]``.
    """
    return _gru_step(params.w_h, h, drive)


def _gru_step(w_h: jax.Array, h: jax.Array, drive: jax.Array) -> jax.Array:
    z, r = jnp.split(_gru_gates(w_h, h, drive), 2, axis=-1)
    units = h.shape[-1]
    a = jnp.tanh(drive[..., 2 * units :] + (r * h) @ w_h[:, 2 * units :])
    return (1.0 - z) * h + z * a


def _gru_gates(w_h: jax.Array, h: jax.Array, drive: jax.Array) -> jax.Array:
    """Returns z and r, side by side."""
    units = h.shape[-1]
    return jax.nn.sigmoid(drive[..., : 2 * units] + h @ w_h[:, : 2 * units])


def gru_scan(
    params: GRUParams, h: jax.Array, drives: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Many steps of the GRU, `gru_step`; the gradient at `w_h` is made for all at once.

    The scan back in time holds only what is sequential. Reverse mode only.

    Args:
      params: the weights.
      h: state before the first step, ``[B, N]``.
      drives: ``[T, B, 3N]`` from `gru_drive`, times first.

    Returns:
      The last state, ``[B, N]``; the states after each step, ``[T, B, N]``.
    """
    return _gru_scan(params.w_h, h, drives)


def _plain_gru_scan(
    w_h: jax.Array, h: jax.Array, drives: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def step(h: jax.Array, drive: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = _gru_step(w_h, h, drive)
        return h, h

    return jax.lax.scan(step, h, drives)


_gru_scan = jax.custom_vjp(_plain_gru_scan)


def _gru_scan_forward(
    w_h: jax.Array, h: jax.Array, drives: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple[Any, ...]]:
    scan = functools.partial(_plain_gru_scan, w_h)
    (last, states), pull = jax.vjp(scan, h, drives)
    before = jnp.concatenate([h[None], states[:-1]])
    return (last, states), (pull, w_h, before, drives)


def _gru_scan_backward(
    residuals: tuple[Any, ...], cotangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    pull, w_h, before, drives = residuals
    dh, ddrives = pull(cotangents)
    # Drives are added to the products with w_h: their gradients are those of both.
    units = before.shape[-1]
    r = _gru_gates(w_h, before, drives)[..., units:]
    gates = jnp.einsum("tbn,tbm->nm", before, ddrives[..., : 2 * units])
    candidate = jnp.einsum("tbn,tbm->nm", r * before, ddrives[..., 2 * units :])
    return jnp.concatenate([gates, candidate], axis=1), dh, ddrives


_gru_scan.defvjp(_gru_scan_forward, _gru_scan_backward)


def init_lstm(
    key: jax.Array, inputs: int, units: int, dtype: DTypeLike = jnp.float32
) -> LSTMParams:
    """Draws the weights of an LSTM of `units` cells on `inputs` features.

    Args:
      key: a random key.
      inputs: F, length of an input.
      units: N, length of a state.
      dtype: of the weights.

    Returns:
      `w` as `core.init.linear` draws it, `b` zero.
    """
    return LSTMParams(
        w=init.linear(key, (inputs + units, 4 * units), dtype),
        b=jnp.zeros(4 * units, dtype),
    )


def lstm_drive(params: LSTMParams, inputs: jax.Array) -> jax.Array:
    """The inputs' part of the pre-activations: ``u w[:F] + b``.

    Args:
      params: the weights.
      inputs: u, ``[..., F]``: all times at once.

    Returns:
      ``[..., 4N]``, for `lstm_step`.
    """
    forced = inputs @ params.w[: inputs.shape[-1]]
    return forced + aligned(params.b, forced)


def lstm_step(params: LSTMParams, state: LSTMState, drive: jax.Array) -> LSTMState:
    """One step of the LSTM; the forget gate opens with a constant +1.

        i, g, f, o = drive + h W_h
        c' = sigmoid(f + 1) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c')

    Args:
      params: the weights.
      state: h and c, ``[B, N]`` each.
      drive: ``[B, 4N]`` from `lstm_drive`.

    Returns:
      The next state; h is the output.
    """
    units = state.h.shape[-1]
    i, g, f, o = jnp.split(drive + state.h @ params.w[-units:], 4, axis=-1)
    c = jax.nn.sigmoid(f + 1.0) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return LSTMState(jax.nn.sigmoid(o) * jnp.tanh(c), c)


def init_vanilla(
    key: jax.Array, inputs: int, units: int, dtype: DTypeLike = jnp.float32
) -> VanillaParams:
    """Draws the weights of a plain recurrent network with ReLU.

    Args:
      key: a random key.
      inputs: F, length of an input.
      units: N, length of a state.
      dtype: of the weights.

    Returns:
      `w_i` and `w_h` as `core.init.linear` draws them, the biases zero.
    """
    key_i, key_h = jax.random.split(key)
    zeros = jnp.zeros(units, dtype)
    return VanillaParams(
        w_i=init.linear(key_i, (inputs, units), dtype),
        b_i=zeros,
        w_h=init.linear(key_h, (units, units), dtype),
        b_h=zeros,
    )


def vanilla_drive(params: VanillaParams, inputs: jax.Array) -> jax.Array:
    """The inputs' part of the pre-activations: ``u w_i + b_i``.

    Args:
      params: the weights.
      inputs: u, ``[..., F]``: all times at once.

    Returns:
      ``[..., N]``, for `vanilla_step`.
    """
    forced = inputs @ params.w_i
    return forced + aligned(params.b_i, forced)


def vanilla_step(params: VanillaParams, h: jax.Array, drive: jax.Array) -> jax.Array:
    """One step: ``h' = relu(drive + h w_h + b_h)``.

    Args:
      params: the weights.
      h: state ``[B, N]``.
      drive: ``[B, N]`` from `vanilla_drive`.

    Returns:
      The next state ``[B, N]``.
    """
    return jax.nn.relu(drive + h @ params.w_h + aligned(params.b_h, h))

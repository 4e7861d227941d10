r"""One step of the recurrences that carry an image across a sheet (arXiv:2502.06034).

A picture sets the scene once; then only the recurrence carries information from cell to
cell. Fields are of any `core.layouts.Layout`. The paper writes y for the position x,
z for the velocity v and omega for the stiffness gamma, which here differ from cell to
cell.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nwm_jax.core.equations import oscillate
from nwm_jax.core.layouts import Layout


class SheetState(NamedTuple):
    """Positions x and velocities v of a sheet of oscillators, fields of one shape."""

    x: jax.Array
    v: jax.Array


class SheetScene(NamedTuple):
    """What an image says of a sheet: stiffness gamma and damping alpha, both >= 0."""

    gamma: jax.Array
    alpha: jax.Array


class GatedState(NamedTuple):
    """State of the convolutional LSTM: output u, hidden h and memory c."""

    u: jax.Array
    h: jax.Array
    c: jax.Array


class GatedWeights(NamedTuple):
    """Weights of the convolutional LSTM.

    Attributes:
      kernel: of the gates, ``[3, 3, 2 C, 4 C]``; u comes before h, and the gates in the
        order input, forget, candidate, output.
      bias: ``[4 C]``.
      layers: (kernel, bias) of the two layers from h to u, C -> 2 C -> C.
    """

    kernel: jax.Array
    bias: jax.Array
    layers: tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def sheet_step(
    layout: Layout,
    coupling: jax.Array,
    scene: SheetScene,
    state: SheetState,
    dt: float | jax.Array,
) -> SheetState:
    """Moves a sheet of oscillators by one time step.

        v' = v + dt (tanh(W * x) - gamma x - alpha v)
        x' = x + dt v'

    with * the periodic coupling of neighbours, across channels too (arXiv:2502.06034).
    In the linear range it is stable while dt² (gamma + |eigenvalue of W|) < 4.

    Args:
      layout: of all fields.
      coupling: W, ``[k, k, C, C]``.
      scene: gamma and alpha of every cell and channel.
      state: x and v.
      dt: length of the step.

    Returns:
      The next state.
    """
    force = jnp.tanh(layout.couple(state.x, coupling))
    return SheetState(*oscillate(*state, force, dt, *scene))


def gated_step(layout: Layout, weights: GatedWeights, state: GatedState) -> GatedState:
    """Moves the convolutional LSTM by one time step.

        i, f, g, o = W * [u, h] + b
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')
        u' = W2 relu(W1 h' + b1) + b2

    with * the periodic coupling (arXiv:2502.06034, baseline).

    Args:
      layout: of all fields.
      weights: the weights.
      state: u, h and c.

    Returns:
      The next state.
    """
    both = jnp.concatenate([state.u, state.h], axis=layout.channel)
    along = functools.partial(layout.along_channels, rank=both.ndim)
    gates = layout.couple(both, weights.kernel) + along(weights.bias)
    i, f, g, o = jnp.split(gates, 4, axis=layout.channel)
    c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    (first, first_bias), (second, second_bias) = weights.layers
    u = jax.nn.relu(layout.dense(h, first) + along(first_bias))
    u = layout.dense(u, second) + along(second_bias)
    return GatedState(u, h, c)

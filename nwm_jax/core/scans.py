"""Whole sequences of waves and oscillators, with gradients of their own.

Automatic differentiation of a scan keeps whatever a step computed, and takes its products
apart. Here the backward pass of a coupled field is written down: it needs of a step only
the state and the value of the activation, which gives the slope as well, and lays the
neighbourhoods of the cotangent out once, for the gradient at the state and for that at the
kernel. That moves less memory, and memory is what such a step costs.

Reverse-mode derivatives only: forward mode raises a TypeError.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from nwm_jax.core import coupling
from nwm_jax.core.coupling import banded, product, turned, windows
from nwm_jax.core.equations import ACTIVATIONS, SLOPES, aligned, oscillate
from nwm_jax.core.unroll import unroll, unroll_scan


def run(
    drive: Callable[[jax.Array], jax.Array],
    step: Callable[[Any, jax.Array, str], Any],
    scan: Callable[[Any, jax.Array], tuple[Any, Any]] | None,
    state: Any,
    inputs: jax.Array,
    *,
    remat: int,
    implementation: str,
) -> tuple[Any, Any]:
    """Computes all steps of a sequence of vectors.

    Args:
      drive: ``inputs -> drives`` for any number of times.
      step: ``(state, drive, implementation) -> state``.
      scan: many steps, ``(state, inputs [t, B, F]) -> last state, states``, as `step`
        makes them; None where there is none.
      state: before the first step, a pytree of ``[B, ...]``.
      inputs: ``[B, T, F]``.
      remat: as in `core.unroll.unroll`.
      implementation: "auto", or "xla" for the plain formulation to compare with: all
        drives before the loop, and every step by `step`.

    Returns:
      The last state, and the states after every step, ``[B, T, ...]``.

    Raises:
      UserError: unknown implementation, or a negative `remat`.
    """
    coupling.check_implementation(implementation)
    if implementation == "xla":
        plain = lambda state, drive: step(state, drive, implementation)
        return unroll(plain, state, drive(inputs), remat=remat)
    if scan is not None:
        return unroll_scan(scan, state, inputs, remat=remat)
    # The drive is computed inside the loop: an input is shorter than the field that it
    # drives, and drives of all times would be written and read again as whole fields.
    driven = lambda state, inputs: step(state, drive(inputs), implementation)
    return unroll(driven, state, inputs, remat=remat)


Pair = tuple[jax.Array, jax.Array]
# Whether the inputs' gradient is wanted, as a residual: an empty tuple, or None if not.
Wanted = tuple[()] | None


class Weights(NamedTuple):
    """What drives a field, and how its cells feel each other.

    forcing: V, from a vector of F numbers to the field, ``[F, *field]``.
    bias: b, ``[*field]``.
    kernel: of a ring ``[k, C, C]`` or torus ``[k, k, C, C]``. Oscillators have that of
      positions and that of velocities one after the other, ``[..., 2 C, C]``.
    """

    forcing: jax.Array
    bias: jax.Array
    kernel: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scan_wave(
    activation: str, weights: Weights, state: jax.Array, inputs: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """All steps of a wave RNN: ``h_{t+1} = act(V u_t + b + U * h_t)``.

    Args:
      activation: "relu", "tanh" or "identity".
      weights: V, b and U.
      state: h before the first step, ``[B, n, C]``.
      inputs: u, ``[T, B, F]``.

    Returns:
      The last state, and the state after every step, ``[T, B, n, C]``.
    """
    couple = _coupling(state, weights.kernel)

    def step(h: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = ACTIVATIONS[activation](_drive(weights, u) + couple(h))
        return h, h

    return jax.lax.scan(step, state, inputs)


def _wave_forward(
    activation: str, weights: Any, state: Any, inputs: Any
) -> tuple[Pair, tuple[Weights, Wanted, jax.Array, jax.Array, jax.Array]]:
    weights, state, inputs, wanted = _primals(weights, state, inputs)
    last, states = scan_wave(activation, weights, state, inputs)
    return (last, states), (weights, wanted, inputs, state, states)


def _wave_backward(
    activation: str,
    residuals: tuple[Weights, Wanted, jax.Array, jax.Array, jax.Array],
    cotangents: Any,
) -> tuple[Weights, jax.Array, jax.Array | None]:
    weights, wanted, inputs, start, states = residuals
    g_last, g_states = _cotangents(cotangents, start)
    back = _Backward(weights, wanted, start)

    def step(carry: tuple[Any, ...], at: tuple[Any, ...]) -> tuple[Any, Any]:
        # `near` are the windows of the step that started from the state h.
        g, near, sums = carry
        h, u, g_state = at
        g = _add(g, g_state) * SLOPES[activation](h)
        sums = back.add_kernel(sums, near, h)
        near, g_h, sums, g_u = back.pull(g, u, sums)
        return (g_h, near, sums), g_u

    (g, near, sums), g_inputs = jax.lax.scan(
        step, (g_last, *back.zeros(inputs)), (states, inputs, g_states), reverse=True
    )
    return back.weights(back.add_kernel(sums, near, start)), g, g_inputs


scan_wave.defvjp(_wave_forward, _wave_backward, symbolic_zeros=True)


class Constants(NamedTuple):
    """The fixed numbers of a field of oscillators, see `core.oscillator`."""

    activation: str
    dt: float
    gamma: float
    alpha: float


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scan_oscillators(
    constants: Constants,
    weights: Weights,
    state: Pair,
    inputs: jax.Array,
) -> tuple[Pair, Pair]:
    """All steps of a ring or torus of oscillators (equations in `core.oscillator`).

    Args:
      constants: activation, dt, gamma and alpha.
      weights: V, b, and Wx and Wv.
      state: x and v before the first step, ``[B, H, W, C]`` each.
      inputs: u, ``[T, B, F]``.

    Returns:
      The last x and v, and those after every step, ``[T, B, H, W, C]``.
    """
    last, states, _ = _oscillate(constants, weights, state, inputs)
    return last, states


def _oscillate(
    constants: Constants, weights: Weights, state: Pair, inputs: jax.Array
) -> tuple[Pair, Pair, jax.Array]:
    """Also returns the activation's value of every step."""
    activation, dt, gamma, alpha = constants
    couple = _coupling(jnp.concatenate(state, axis=-1), weights.kernel)

    def step(state: Pair, u: jax.Array) -> tuple[Pair, tuple[Pair, jax.Array]]:
        force = _drive(weights, u) + couple(jnp.concatenate(state, axis=-1))
        y = ACTIVATIONS[activation](force)
        state = oscillate(*state, y, dt, gamma, alpha)
        return state, (state, y)

    last, (states, values) = jax.lax.scan(step, state, inputs)
    return last, states, values


_Residuals = tuple[Weights, Wanted, jax.Array, Pair, Pair, jax.Array]


def _oscillators_forward(
    constants: Constants, weights: Any, state: Any, inputs: Any
) -> tuple[tuple[Pair, Pair], _Residuals]:
    weights, state, inputs, wanted = _primals(weights, state, inputs)
    last, states, values = _oscillate(constants, weights, state, inputs)
    return (last, states), (weights, wanted, inputs, state, states, values)


def _oscillators_backward(
    constants: Constants,
    residuals: _Residuals,
    cotangents: Any,
) -> tuple[Weights, Pair, jax.Array | None]:
    weights, wanted, inputs, start, states, values = residuals
    activation, dt, gamma, alpha = constants
    (g_x, g_v), g_states = _cotangents(cotangents, start)
    both = functools.partial(jnp.concatenate, axis=-1)
    back = _Backward(weights, wanted, both(start))

    def step(carry: tuple[Any, ...], at: tuple[Any, ...]) -> tuple[Any, Any]:
        (g_x, g_v), near, sums = carry
        state, y, u, g_state = at
        g_x = _add(g_x, g_state[0])
        g_v = _add(g_v, g_state[1]) + dt * g_x  # the new velocity moved the position
        sums = back.add_kernel(sums, near, both(state))
        near, g_both, sums, g_u = back.pull(dt * g_v * SLOPES[activation](y), u, sums)
        more_x, more_v = jnp.split(g_both, 2, axis=-1)
        g = (g_x - dt * gamma * g_v + more_x, (1 - dt * alpha) * g_v + more_v)
        return (g, near, sums), g_u

    (g, near, sums), g_inputs = jax.lax.scan(
        step,
        ((g_x, g_v), *back.zeros(inputs)),
        (states, values, inputs, g_states),
        reverse=True,
    )
    return back.weights(back.add_kernel(sums, near, both(start))), g, g_inputs


scan_oscillators.defvjp(
    _oscillators_forward, _oscillators_backward, symbolic_zeros=True
)


def _drive(weights: Weights, u: jax.Array) -> jax.Array:
    # Not computed before the loop: an input is shorter than the field that it drives.
    forced = product(u, weights.forcing)
    return forced + aligned(weights.bias, forced)


def _coupling(state: jax.Array, kernel: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """What cells feel of each other, as a function that makes its matrix but once."""
    sizes, shape = kernel.shape[:-2], (*state.shape[:-1], kernel.shape[-1])
    q = coupling.block(shape, len(sizes))
    matrix = banded(kernel, q)
    return lambda field: product(windows(field, sizes, q), matrix).reshape(shape)


def _primals(*primals: Any) -> tuple[Any, ...]:
    """The arguments of a forward rule, and whether the inputs' gradient is wanted."""
    values = jax.tree.map(
        lambda p: p.value, primals, is_leaf=lambda p: hasattr(p, "perturbed")
    )
    # Residuals are arrays; this must be known while tracing.
    return *values, (() if primals[-1].perturbed else None)


def _cotangents(cotangents: Any, start: Any) -> tuple[Any, Any]:
    """Those of the last state, and those of all states, None where nobody used them."""
    last, states = jax.tree.map(
        lambda g: None if isinstance(g, SymbolicZero) else g, cotangents
    )
    last = jax.tree.map(lambda s, g: jnp.zeros_like(s) if g is None else g, start, last)
    return last, states


def _add(g: jax.Array, more: jax.Array | None) -> jax.Array:
    return g if more is None else g + more


class _Backward:
    """What the backward passes of all fields share: the products.

    Sums over time are a pair, the gradient at the matrix of the coupling and that at
    the forcing, the bias as its last row.
    """

    def __init__(self, weights: Weights, wanted: Wanted, state: jax.Array):
        self.forcing = None if wanted is None else weights.forcing
        self.sizes = weights.kernel.shape[:-2]
        self.field = weights.bias.shape
        self.state = state.shape
        self.q = coupling.block(self.field, len(self.sizes))
        self.matrix, self.pull_kernel = jax.vjp(
            lambda kernel: banded(turned(kernel), self.q), weights.kernel
        )

    def zeros(self, inputs: jax.Array) -> tuple[jax.Array, Pair]:
        """The windows after the last step, and empty sums."""
        dtype = self.matrix.dtype
        near = windows(
            jnp.zeros((self.state[0], *self.field), dtype), self.sizes, self.q
        )
        drive = jnp.zeros((inputs.shape[-1] + 1, *self.field), dtype)
        return near, (jnp.zeros_like(self.matrix), drive)

    def add_kernel(self, sums: Pair, near: jax.Array, state: jax.Array) -> Pair:
        """Adds what a step from `state`, with windows `near` after it, asks of U."""
        reach, width = self.matrix.shape
        more = product(near.reshape(-1, reach).T, state.reshape(-1, width))
        return sums[0] + more, sums[1]

    def pull(
        self, g: jax.Array, u: jax.Array, sums: Pair
    ) -> tuple[jax.Array, jax.Array, Pair, jax.Array | None]:
        """From the gradient at the argument of the activation to all others.

        Returns:
          Its windows, the gradient at the state before, sums with that at V and b, and
          the gradient at u or None.
        """
        near = windows(g, self.sizes, self.q)
        driving = jnp.concatenate([u, jnp.ones_like(u[:, :1])], axis=-1)
        sums = (sums[0], sums[1] + product(driving.T, g))
        g_u = None
        if self.forcing is not None:
            g_u = product(
                g.reshape(len(g), -1), self.forcing.reshape(len(self.forcing), -1).T
            )
        return near, product(near, self.matrix).reshape(self.state), sums, g_u

    def weights(self, sums: Pair) -> Weights:
        """The gradient at the weights."""
        (kernel,) = self.pull_kernel(sums[0])
        return Weights(sums[1][:-1], sums[1][-1], kernel)

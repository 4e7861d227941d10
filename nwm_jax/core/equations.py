"""The equations that several recurrences share."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Activation = Callable[[jax.Array], jax.Array]

ACTIVATIONS: dict[str, Activation] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "identity": lambda z: z,
}

#: The derivative of an activation, from its value.
SLOPES: dict[str, Activation] = {
    "relu": lambda y: (y > 0).astype(y.dtype),
    "tanh": lambda y: 1 - y * y,
    "identity": jnp.ones_like,
}


def aligned(parameter: jax.Array, field: jax.Array) -> jax.Array:
    """Returns a parameter with the rank of a field, new axes of length one in front.

    JAX would do it by itself, and so let ``[H, C]`` meet ``[B, W, C]``: the tests of core
    forbid it.
    """
    return jax.lax.expand_dims(parameter, range(field.ndim - parameter.ndim))


def oscillate(
    x: jax.Array,
    v: jax.Array,
    force: jax.Array,
    dt: jax.Array | float,
    gamma: jax.Array | float,
    alpha: jax.Array | float,
) -> tuple[jax.Array, jax.Array]:
    """Moves damped, driven oscillators by one step of symplectic Euler.

        v' = v + dt (force - gamma x - alpha v)
        x' = x + dt v'

    Args:
      x: positions, any shape.
      v: velocities, the same shape.
      force: what drives them, the same shape.
      dt: length of the step, > 0.
      gamma: stiffness; alone it is stable while dt² gamma < 4.
      alpha: damping.

    Returns:
      x' and v'.
    """
    v = v + dt * (force - (gamma * x + alpha * v))
    return x + dt * v, v

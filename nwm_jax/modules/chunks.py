"""Sums over parts of a batch whose gradient is made part by part, on the way forward.

A scalar that is a sum over examples has a gradient that is a sum too. So each part can
be differentiated as soon as it has been computed, and what its gradient needs is
forgotten before the next one: memory is that of one part, which stays in the cache, and
nothing is computed twice.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Function = Callable[[Any, Any, Any], tuple[jax.Array, Any]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def sum_over_chunks(
    function: Function, weights: Any, fields: Any, constants: Any
) -> tuple[jax.Array, Any]:
    """``sum over i of function(weights, fields[i], constants[i])``.

    Differentiable once, in reverse, with respect to `weights` and `fields`.

    Args:
      function: returns a scalar and anything else, which carries no gradient. It must
        not close over traced arrays.
      weights: a pytree of floating-point arrays.
      fields: a pytree of floating-point arrays ``[chunks, ...]``.
      constants: a pytree of arrays ``[chunks, ...]`` that carry no gradient.

    Returns:
      The sum, and what else the function returns, stacked: ``[chunks, ...]``.
    """

    def body(total: jax.Array, chunk: tuple[Any, Any]) -> tuple[jax.Array, Any]:
        value, other = function(weights, *chunk)
        return total + value, other

    zero = jnp.zeros((), jax.tree.leaves(weights)[0].dtype)
    return jax.lax.scan(body, zero, (fields, constants))


def _forward(
    function: Function, weights: Any, fields: Any, constants: Any
) -> tuple[tuple[jax.Array, Any], tuple[Any, Any]]:
    gradient = jax.value_and_grad(function, argnums=(0, 1), has_aux=True)

    def body(carry: Any, chunk: tuple[Any, Any]) -> tuple[Any, Any]:
        total, dweights = carry
        (value, other), (more, dfields) = gradient(weights, *chunk)
        dweights = jax.tree.map(jnp.add, dweights, more)
        return (total + value, dweights), (other, dfields)

    zero = jnp.zeros((), jax.tree.leaves(weights)[0].dtype)
    start = zero, jax.tree.map(jnp.zeros_like, weights)
    (total, dweights), (other, dfields) = jax.lax.scan(body, start, (fields, constants))
    return (total, other), (dweights, dfields)


def _backward(
    function: Function, residuals: tuple[Any, Any], cotangent: tuple[jax.Array, Any]
) -> tuple[Any, Any, None]:
    scale, _ = cotangent
    dweights, dfields = jax.tree.map(lambda leaf: scale * leaf, residuals)
    return dweights, dfields, None


sum_over_chunks.defvjp(_forward, _backward)


def chunk_size(total: int, most: int) -> int:
    """The largest divisor of `total` up to `most`; `total` if that is below `most` / 2.

    Parts are of one size, and small ones cost more than they save.
    """
    best = max(size for size in range(1, min(total, most) + 1) if total % size == 0)
    return best if 2 * best > most else total

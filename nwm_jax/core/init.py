"""How weights are drawn, exactly as the benchmark's programs draw them.

The normal is cut at two standard deviations and, unlike `variance_scaling` of JAX,
not widened to make up for the cut: its standard deviation is 0.8796 of the one named.
"""

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def truncated_normal(
    key: jax.Array,
    shape: tuple[int, ...],
    stddev: float,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Normal of `stddev` cut at ``±2 stddev``, `shape` of `dtype`."""
    return stddev * jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)


def linear(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Matrix or convolution kernel: cut normal of ``1/sqrt(fan in)``.

    Args:
      key: a JAX random key.
      shape: ``[..., inputs, outputs]``; the fan in is the product of all but the last.
      dtype: of the result.
    """
    return truncated_normal(key, shape, 1.0 / math.sqrt(math.prod(shape[:-1])), dtype)


def gated(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Matrix of a GRU: as `linear`, widened so that its spread is 1/sqrt(fan in)."""
    return linear(key, shape, dtype) / 0.87962566103423978

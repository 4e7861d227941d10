"""How first weights are drawn, exactly as the original programs draw them.

The normal of the benchmark is cut at two standard deviations and, unlike
`variance_scaling` of JAX, not widened to make up for the cut: its standard deviation is
0.8796 of the one named. `uniform` is what layers of PyTorch draw.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nwm_jax.errors import unknown

#: What `layer` draws: names of first weights.
LAYERS = ("benchmark", "torch", "he")


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


def uniform(
    key: jax.Array,
    shape: tuple[int, ...],
    fan_in: int,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Draws like a layer of PyTorch: uniform in ±1/sqrt(fan_in), `shape` of `dtype`."""
    bound = 1.0 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)


def layer(
    init: str,
    keys: Callable[[], jax.Array],
    shape: tuple[int, ...],
    dtype: DTypeLike = jnp.float32,
    *,
    bias: bool = True,
) -> tuple[jax.Array, jax.Array | None]:
    """Draws kernel and bias of a linear layer or a convolution.

    Args:
      init: "benchmark" (kernel as `linear`, bias zero), "torch" (both `uniform`) or "he"
        (kernel a cut normal of standard deviation sqrt(2 / fan in), made for ReLU, bias
        zero; arXiv:1502.01852).
      keys: returns a new random key at each call.
      shape: of the kernel, ``[..., inputs, outputs]``.
      dtype: of both.
      bias: whether there is a bias.

    Returns:
      The kernel, and the bias ``[outputs]`` or None.

    Raises:
      UserError: an unknown `init`.
    """
    fan_in, outputs = math.prod(shape[:-1]), shape[-1:]
    if init == "torch":
        kernel = uniform(keys(), shape, fan_in, dtype)
        return kernel, uniform(keys(), outputs, fan_in, dtype) if bias else None
    if init not in LAYERS:
        raise unknown("init", init, LAYERS)
    he = jax.nn.initializers.he_normal()
    kernel = (
        linear(keys(), shape, dtype)
        if init == "benchmark"
        else he(keys(), shape, dtype)
    )
    return kernel, jnp.zeros(outputs, dtype) if bias else None

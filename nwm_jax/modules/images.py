"""Image networks over a few images at a time, on every device its own.

The layers of a network are run one after the other for so many images as stay in a
CPU's cache, then for the next ones: between two layers nothing goes to memory but what
the gradient will need.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax.modules.devices import on_each_device

# Bytes of the largest layer's values for which a decoder with 64 channels was fastest:
# 8 images of 32x32, of 4 to 16 that were tried.
_CHUNK_BYTES = 2_200_000


def over_images(
    function: Callable[[Any, jax.Array], jax.Array],
    weights: Any,
    images: jax.Array,
    shape: tuple[int, ...],
) -> jax.Array:
    """Applies a function of single images to many, where a CPU is to be fast.

    Args:
      function: ``(weights, images [n, ...]) -> [n, ...]``, every image by itself.
      weights: a pytree of arrays.
      images: ``[N, ...]``.
      shape: of the largest array that the function makes of one image.

    Returns:
      What ``function(weights, images)`` returns.
    """
    return on_each_device(
        lambda images, weights: _in_chunks(function, weights, images, shape),
        images,
        weights,
    )


def _in_chunks(function, weights, images, shape):
    number = len(images)
    largest = math.prod(shape) * images.dtype.itemsize
    count = -(-number // max(1, _CHUNK_BYTES // largest))
    if count <= 1:
        return function(weights, images)
    size = -(-number // count)
    missing = -number % size
    if missing:
        nothing = jnp.zeros((missing, *images.shape[1:]), images.dtype)
        images = jnp.concatenate([images, nothing])
    chunks = images.reshape(-1, size, *images.shape[1:])
    _, out = lax.scan(lambda _, chunk: (None, function(weights, chunk)), None, chunks)
    return out.reshape(-1, *out.shape[2:])[:number]

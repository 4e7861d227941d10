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
    def body(_, images):
        return None, function(weights, images)

    return scan_chunks(body, None, images, shape)[1]


def scan_chunks(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    images: Any,
    shape: tuple[int, ...],
) -> tuple[Any, Any]:
    """A scan over so many images at a time as stay in a CPU's cache.

    Args:
      body: ``(carry, images [n, ...]) -> carry, results [n, ...]``.
      carry: what goes from one call to the next.
      images: a pytree of ``[N, ...]``. Where the last images are too few, images of zeros
        are put behind them, and their results thrown away.
      shape: of the largest array that the body makes of one image.

    Returns:
      The last carry, and the results ``[N, ...]``.
    """
    leaves = jax.tree.leaves(images)
    number = len(leaves[0])
    largest = math.prod(shape) * leaves[0].dtype.itemsize
    most = max(1, _CHUNK_BYTES // largest)
    if number <= most:
        return body(carry, images)
    size = max(n for n in range(1, most + 1) if number % n == 0)
    if 2 * size <= most:  # no good divisor
        size = -(-number // -(-number // most))
    missing = -number % size

    def cut(images: jax.Array) -> jax.Array:
        if missing:
            nothing = jnp.zeros((missing, *images.shape[1:]), images.dtype)
            images = jnp.concatenate([images, nothing])
        return images.reshape(-1, size, *images.shape[1:])

    carry, out = lax.scan(body, carry, jax.tree.map(cut, images))
    return carry, jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:number], out)

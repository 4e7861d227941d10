"""Draws from posteriors that belong to an example, whatever stands beside it."""

from collections.abc import Callable
from typing import Any

import jax

_SEED = 7


def each(
    function: Callable[[jax.Array, jax.Array], Any],
    images: jax.Array,
    indices: jax.Array,
) -> Any:
    """Calls a method of a variational model on every sequence with a key of its own.

    Models are trained on draws, and the norm after them makes what is not drawn too
    strong: at their means the inputs have no noise that would take its part of the
    variance. So tests draw too.

    Args:
      function: (images ``[1, T, h, w, 1]``, key) -> arrays ``[1, ...]``.
      images: ``[n, T, h, w, 1]``.
      indices: a number for every sequence, ``[n]``.

    Returns:
      The arrays, ``[n, ...]``.
    """

    def one(images: jax.Array, index: jax.Array) -> Any:
        key = jax.random.fold_in(jax.random.key(_SEED), index)
        return jax.tree.map(lambda a: a[0], function(images[None], key))

    return jax.vmap(one)(images, indices)

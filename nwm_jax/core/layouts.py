"""How a field of channels lies in memory, and what depends on it.

`IMAGES` are ``[..., N, H, W, C]``, the layout of everything public. `PLANES` are
``[..., C, H, W, N]``: one plane for each channel, with the examples side by side.
Neighbours of a cell are then the same examples of other rows or columns, so that a
recurrence over a few examples is made of long vector operations and stays in the
cache: forward half the time of XLA's convolution on a CPU, with gradients about as much
(docs/results/segmentation/README.md). A product over channels is one of large matrices, and
sums over classes run along the pixels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nwm_jax.core import coupling


class Layout(NamedTuple):
    """An order of axes.

    Attributes:
      channel: the axis of the channels, counted from the end.
      couple: ``couple(field, kernel)``: the periodic cross-correlation
        ``y[i, j, d] = sum over u, v, c of field[i + u - k//2, j + v - k//2, c]
        kernel[u, v, c, d]`` of one field (no further axes), kernel ``[k, k, C, D]``.
      dense: ``dense(field, kernel)``: ``y[..., d] = sum over c of field[..., c]
        kernel[c, d]``, at every cell.
    """

    channel: int
    couple: Callable[[jax.Array, jax.Array], jax.Array]
    dense: Callable[[jax.Array, jax.Array], jax.Array]

    def along_channels(self, vector: jax.Array, rank: int) -> jax.Array:
        """Returns a vector ``[C]`` with the axes of a field of this rank, to be added."""
        after = -1 - self.channel
        return vector.reshape((1,) * (rank - 1 - after) + (-1,) + (1,) * after)

    def gather(self, features: jax.Array) -> jax.Array:
        """Puts a leading axis in front of the channels: ``[K, ...C...] -> [...K C...]``.

        Feature q = k C + c, as the original orders them (arXiv:2502.06034).
        """
        features = jnp.moveaxis(features, 0, self.channel - 1)
        axis = features.ndim + self.channel - 1
        shape = features.shape
        merged = shape[axis] * shape[axis + 1]
        return features.reshape(*shape[:axis], merged, *shape[axis + 2 :])


def to_planes(images: jax.Array) -> jax.Array:
    """``[..., N, H, W, C] -> [..., C, H, W, N]``, and back: it is its own inverse."""
    return jnp.swapaxes(images, -1, -4)


IMAGES = Layout(
    -1,
    lambda field, kernel: coupling.couple("torus", field, kernel, "xla"),
    lambda field, kernel: field @ kernel,
)
PLANES = Layout(-4, coupling.couple_planes, coupling.dense_planes)

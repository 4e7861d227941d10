"""How a field of channels lies in memory, and what depends on it.

`IMAGES` are ``[..., N, H, W, C]``, the layout of everything public. `PLANES` are
``[..., C, H, W, N]``: one plane for each channel, with the examples side by side.
Neighbours of a cell are then the same examples of other rows or columns, so that a
recurrence over a few examples is made of long vector operations and stays in the
cache: forward half the time of XLA's convolution on a CPU, with gradients about as much
(docs/results/segmentation/README.md). A product over channels is one of large matrices, and
sums over classes run along the pixels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core.coupling import turned

# Up to this many products C D of a kernel, sums of shifted planes are faster on a CPU
# than a matrix product over patches.
_SHIFTED_PRODUCTS = 16


class Layout(NamedTuple):
    """An order of axes.

    Attributes:
      channel: the axis of the channels, counted from the end.
      example: the axis of the examples, counted from the end.
      couple: ``couple(field, kernel)``: the periodic cross-correlation
        ``y[i, j, d] = sum over u, v, c of field[i + u - k//2, j + v - k//2, c]
        kernel[u, v, c, d]`` of one field (no further axes), kernel ``[k, k, C, D]``.
      dense: ``dense(field, kernel)``: ``y[..., d] = sum over c of field[..., c]
        kernel[c, d]``, at every cell.
    """

    channel: int
    example: int
    couple: Callable[[jax.Array, jax.Array], jax.Array]
    dense: Callable[[jax.Array, jax.Array], jax.Array]

    def along_channels(self, vector: jax.Array) -> jax.Array:
        """Returns a vector ``[C]`` the axes by which it is added to a field."""
        return vector.reshape((-1,) + (1,) * (-1 - self.channel))

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


def laplacian(channels: int) -> np.ndarray:
    """The five-point Laplacian of every channel by itself, float32 ``[3, 3, C, C]``."""
    stencil = np.float32([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    return stencil[:, :, None, None] * np.eye(channels, dtype=np.float32)


def _wrap(planes: jax.Array, axis: int, amount: int) -> jax.Array:
    size = planes.shape[axis]
    head = jax.lax.slice_in_dim(planes, size - amount, size, axis=axis)
    tail = jax.lax.slice_in_dim(planes, 0, amount, axis=axis)
    return jnp.concatenate([head, planes, tail], axis=axis)


def _halo(planes: jax.Array, kernel: jax.Array) -> jax.Array:
    for axis, size in ((1, kernel.shape[0]), (2, kernel.shape[1])):
        planes = _wrap(planes, axis, size // 2)
    return planes


def _windows(planes: jax.Array, kernel: jax.Array) -> list[jax.Array]:
    """The field as each tap of the kernel sees it, k k of ``[C, H, W, N]``."""
    rows, columns = planes.shape[1:3]
    wide = _halo(planes, kernel)
    return [
        wide[:, u : u + rows, v : v + columns]
        for u in range(kernel.shape[0])
        for v in range(kernel.shape[1])
    ]


@jax.custom_vjp
def _couple_planes(planes: jax.Array, kernel: jax.Array) -> jax.Array:
    windows = _windows(planes, kernel)
    channels, outputs = kernel.shape[2:]
    taps = kernel.reshape(-1, channels, outputs)
    if channels * outputs <= _SHIFTED_PRODUCTS:
        # A Laplacian is what is left of numbers that nearly cancel. Their differences
        # from the middle lose nothing, their sums would lose two digits.
        near = [window - planes for window in windows]
        whole = taps.sum(axis=0)
        return jnp.stack(
            [
                sum(
                    whole[c, d] * planes[c]
                    + sum(taps[i, c, d] * step[c] for i, step in enumerate(near))
                    for c in range(channels)
                )
                for d in range(outputs)
            ]
        )
    patches = jnp.concatenate(windows)
    return _dense_planes(patches, taps.reshape(-1, outputs))


def _couple_forward(planes, kernel):
    return _couple_planes(planes, kernel), (planes, kernel)


def _couple_backward(residuals, gradient):
    planes, kernel = residuals
    windows = _windows(planes, kernel)
    if math.prod(kernel.shape[2:]) <= _SHIFTED_PRODUCTS:
        # Summed over examples last: what is left of a vector is added once.
        products = [
            [[(plane * g).sum(axis=(0, 1)) for g in gradient] for plane in window]
            for window in windows
        ]
        dkernel = jnp.stack([jnp.stack([jnp.stack(r) for r in p]) for p in products])
        dkernel = dkernel.sum(axis=-1)
    else:
        dkernel = jnp.einsum("phwn,dhwn->pd", jnp.concatenate(windows), gradient)
    return _couple_planes(gradient, turned(kernel)), dkernel.reshape(kernel.shape)


_couple_planes.defvjp(_couple_forward, _couple_backward)


def _dense_planes(planes: jax.Array, kernel: jax.Array) -> jax.Array:
    # In this order the product comes out as planes, without a transposition.
    flat = jnp.einsum("cd,cp->dp", kernel, planes.reshape(planes.shape[0], -1))
    return flat.reshape(-1, *planes.shape[1:])


def _couple_images(images: jax.Array, kernel: jax.Array) -> jax.Array:
    pads = [(size // 2, size // 2) for size in kernel.shape[:2]]
    wide = jnp.pad(images, ((0, 0), *pads, (0, 0)), mode="wrap")
    return jax.lax.conv_general_dilated(
        wide, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


PLANES = Layout(-4, -1, _couple_planes, _dense_planes)
IMAGES = Layout(-1, -4, _couple_images, lambda field, kernel: field @ kernel)

"""What a convolution is besides its weights, for every formulation of it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

# Height and width, often a slice of a shape.
Pair = tuple[int, ...]

# From so many channels on upsampling has Winograd's transform too.
_WINOGRAD_CHANNELS = 16


class Layer(NamedTuple):
    """What a convolution is beside its weights, a kernel and a bias.

        correlate: z[i] = bias + sum over u of x[stride i + u - low] kernel[u]
        spread, its transpose: z[stride i + u - low] = bias + sum over u of x[i] kernel[u]
        upsample: z[i] = bias + sum over u of x[(i + u - 1) // 2] kernel[u]
        y = max(z, slope z)

    with i and u along both axes, and zeros outside of the images.

    Attributes:
      operation: "correlate", "spread" or "upsample".
      stride: >= 1, along both axes.
      low: rows of zeros above the larger images, columns left of them.
      size: height and width of the result.
      slope: in (0, 1]; 1 changes nothing.
    """

    operation: str
    stride: int
    low: Pair
    size: Pair
    slope: float = 1.0


def correlation(
    size: Pair, window: Pair, stride: int, padding: str, slope: float
) -> Layer:
    """Returns a convolution as neural networks have it.

    Args:
      size: height and width of the images.
      window: of the kernel.
      stride: >= 1, along both axes.
      padding: "SAME" or "VALID", as XLA has them.
      slope: in (0, 1]; 1 changes nothing.
    """
    pads = lax.padtype_to_pads(size, window, (stride,) * 2, padding)
    out = tuple(
        max(0, (n + sum(both) - k) // stride + 1)
        for n, both, k in zip(size, pads, window, strict=True)
    )
    return Layer("correlate", stride, tuple(low for low, _ in pads), out, slope)


def upsampling(size: Pair, kernel: jax.Array, slope: float) -> tuple[Layer, jax.Array]:
    """Returns "repeat every pixel 2x2, then convolve 3x3", and the kernel to do it with.

    Args:
      size: height and width of the images.
      kernel: ``[3, 3, C, O]``.
      slope: in (0, 1]; 1 changes nothing.

    Returns:
      The layer; the kernel, or with few channels that of a spread, ``[4, 4, C, O]``.
    """
    layer = Layer("upsample", 2, (1, 1), (2 * size[0], 2 * size[1]), slope)
    if min(kernel.shape[2:]) < _WINOGRAD_CHANNELS:
        return layer._replace(operation="spread"), as_spread(kernel)
    return layer, kernel


def as_spread(kernel: jax.Array) -> jax.Array:
    """Returns an upsampling's kernel as that of a spread with the same stride and zeros.

    16 products for 4 pixels take the place of 36: pixel 2 i + e of the result reads pixel
    (2 i + e + u - 1) // 2 through row u of the kernel, and rows that meet are added.

    Args:
      kernel: ``[3, 3, C, O]``.

    Returns:
      ``[4, 4, C, O]``.
    """
    k = jnp.pad(kernel[::-1, ::-1], ((1, 1), (1, 1), (0, 0), (0, 0)))
    k = k[1:] + k[:-1]
    return k[:, 1:] + k[:, :-1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def leaky_relu(z: jax.Array, slope: float) -> jax.Array:
    """Returns ``max(z, slope z)``, any shape; a slope of 1 changes nothing.

    Its gradient is read off the result, which the next layer keeps anyway: keeping the
    argument too, as the automatic gradient does, costs a third of a decoder's memory.
    """
    return z if slope == 1 else jnp.maximum(z, slope * z)


def _leaky_relu_forward(z: jax.Array, slope: float) -> tuple[jax.Array, jax.Array]:
    y = leaky_relu(z, slope)
    return y, y


def _leaky_relu_backward(slope: float, y: jax.Array, g: jax.Array) -> tuple[jax.Array]:
    return (before_slope(g, y, slope),)


leaky_relu.defvjp(_leaky_relu_forward, _leaky_relu_backward)


def before_slope(g: jax.Array, y: jax.Array, slope: float) -> jax.Array:
    """Returns the gradient at z of ``y = max(z, slope z)``, whose signs are one.

    Args:
      g: the gradient at y, any shape.
      y: of the same shape.
      slope: in (0, 1]; 1 changes nothing.

    Returns:
      An array like `g`.
    """
    return g if slope == 1 else jnp.where(y >= 0, g, slope * g)

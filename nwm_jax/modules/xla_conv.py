"""The functions of `modules.fast_conv` by XLA's convolution: for accelerators.

    correlate, spread, upsample: (x, kernel, bias) -> y
    kernel_gradient: (x, g) -> dkernel
    correlate_gradients, ...: (x, back, g) -> dx, dkernel, dbias

with x, g and y ``[N, H, W, C]``, kernels ``[kh, kw, C, O]``; each takes a `Layer` too.
`back` is the kernel with its last two axes exchanged.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax.modules.conv_layers import Layer, Pair, before_slope, leaky_relu

_IMAGES = ("NHWC", "HWIO", "NHWC")
_KERNELS = ("CHWN", "IHWO", "HWNC")


def correlate(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, layer: Layer
) -> jax.Array:
    """Computes ``z[i] = bias + sum over u of x[stride i + u - low] kernel[u]``."""
    return _ended(_correlate(x, kernel, layer), bias, layer)


def spread(x: jax.Array, kernel: jax.Array, bias: jax.Array, layer: Layer) -> jax.Array:
    """Computes ``z[stride i + u - low] = bias + sum over u of x[i] kernel[u]``."""
    return _ended(_spread(x, kernel, layer), bias, layer)


def upsample(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, layer: Layer
) -> jax.Array:
    """Computes ``z[i] = bias + sum over u of x[(i + u - 1) // 2] kernel[u]``."""
    return correlate(repeat(x), kernel, bias, layer._replace(stride=1))


def kernel_gradient(
    x: jax.Array, g: jax.Array, layer: Layer, window: Pair
) -> jax.Array:
    """Computes ``sum over n and i of x[n, stride i + u - low]' g[n, i]`` for all u."""
    if not x.size or not g.size:  # XLA refuses such kernels
        return jnp.zeros((*window, x.shape[3], g.shape[3]), x.dtype)
    pads = _pads(x.shape[1:3], window, g.shape[1:3], layer)
    stride = (layer.stride,) * 2
    return lax.conv_general_dilated(
        x, g, (1, 1), pads, rhs_dilation=stride, dimension_numbers=_KERNELS
    )


def correlate_gradients(
    x: jax.Array, back: jax.Array, g: jax.Array, layer: Layer
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes all gradients of a correlation, that at x before x's leaky ReLU."""
    dx = _spread(g, back, layer._replace(size=x.shape[1:3]))
    dkernel = kernel_gradient(x, g, layer, back.shape[:2])
    return before_slope(dx, x, layer.slope), dkernel, g.sum((0, 1, 2))


def spread_gradients(
    x: jax.Array, back: jax.Array, g: jax.Array, layer: Layer
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes all gradients of a spread; that at the kernel has `back`'s axes."""
    dx = _correlate(g, back, layer._replace(size=x.shape[1:3]))
    dback = kernel_gradient(g, x, layer, back.shape[:2])
    return before_slope(dx, x, layer.slope), dback, g.sum((0, 1, 2))


def upsample_gradients(
    x: jax.Array, back: jax.Array, g: jax.Array, layer: Layer
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes all gradients of an upsampling, that at x before x's leaky ReLU."""
    large = layer._replace(stride=1, slope=1.0)
    dlarge, dkernel, dbias = correlate_gradients(repeat(x), back, g, large)
    n, h, w, c = x.shape
    dx = dlarge.reshape(n, h, 2, w, 2, c).sum((2, 4))
    return before_slope(dx, x, layer.slope), dkernel, dbias


def repeat(x: jax.Array) -> jax.Array:
    """Repeats every pixel 2x2: ``[N, H, W, C]`` to ``[N, 2 H, 2 W, C]``."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def _ended(z: jax.Array, bias: jax.Array, layer: Layer) -> jax.Array:
    return leaky_relu(z + bias, layer.slope)


def _correlate(x: jax.Array, kernel: jax.Array, layer: Layer) -> jax.Array:
    pads = _pads(x.shape[1:3], kernel.shape[:2], layer.size, layer)
    stride = (layer.stride,) * 2
    return lax.conv_general_dilated(x, kernel, stride, pads, dimension_numbers=_IMAGES)


def _spread(x: jax.Array, kernel: jax.Array, layer: Layer) -> jax.Array:
    # A correlation of the images with `stride - 1` zeros between their pixels.
    wide = [max(0, (n - 1) * layer.stride + 1) for n in x.shape[1:3]]
    pads = [
        (k - 1 - low, size + low - n)
        for n, k, low, size in zip(
            wide, kernel.shape[:2], layer.low, layer.size, strict=True
        )
    ]
    stride = (layer.stride,) * 2
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        (1, 1),
        pads,
        lhs_dilation=stride,
        dimension_numbers=_IMAGES,
    )


def _pads(
    large: Pair, window: Pair, small: Pair, layer: Layer
) -> list[tuple[int, int]]:
    """Zeros on both sides of the larger images, negative where pixels are not read."""
    return [
        (low, (out - 1) * layer.stride + k - n - low)
        for n, k, out, low in zip(large, window, small, layer.low, strict=True)
    ]

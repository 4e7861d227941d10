"""Convolutions for CPUs, compiled with the package, and all their gradients.

XLA's own are slow on CPUs where they are differentiated, and slower by far inside of
loops. Those of `native/` are products of small matrices whose sums stay in registers, for
3x3 kernels with many channels after Winograd's transform (Lavin & Gray, arXiv:1509.09308).

A convolution and its transpose are bilinear in images and kernel, and so is the gradient
at the kernel: the derivatives of each of the three are the other two. Reverse mode only,
of any order; forward mode raises a TypeError.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# From so many channels on upsampling has Winograd's transform too.
_WINOGRAD_CHANNELS = 16

Pair = tuple[int, int]
Weights = tuple[jax.Array, jax.Array]


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
    """A convolution as neural networks have it.

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
    """ "Repeat every pixel 2x2, then convolve 3x3", and the kernel to do it with.

    Args:
      size: height and width of the images.
      kernel: ``[3, 3, C, O]``.
      slope: in (0, 1]; 1 changes nothing.

    Returns:
      The layer; the kernel, or with few channels that of a spread, ``[4, 4, C, O]``.
    """
    layer = Layer("upsample", 2, (1, 1), (2 * size[0], 2 * size[1]), slope)
    if min(kernel.shape[2:]) < _WINOGRAD_CHANNELS:
        return layer._replace(operation="spread"), _as_spread(kernel)
    return layer, kernel


def _as_spread(kernel):
    """The kernel of an upsampling as that of a spread with the same stride and zeros.

    16 products for 4 pixels take the place of 36: pixel 2 i + e of the result reads pixel
    (2 i + e + u - 1) // 2 through row u of the kernel, and rows that meet are added.
    """
    k = jnp.pad(kernel[::-1, ::-1], ((1, 1), (1, 1), (0, 0), (0, 0)))
    k = k[1:] + k[:-1]
    return k[:, 1:] + k[:, :-1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def stack(
    x: jax.Array, weights: Sequence[Weights], layers: tuple[Layer, ...]
) -> jax.Array:
    """Convolutions one after the other.

    On the way back the gradient at the images between two layers takes the memory of
    those images: no others of their size are made.

    Args:
      x: ``[N, H, W, C]``.
      weights: of each layer, a kernel ``[kh, kw, C, O]`` and a bias ``[O]``.
      layers: what they are beside their weights.

    Returns:
      ``[N, H', W', O]``.
    """
    return _stack_forward(x, weights, layers)[0]


def _stack_forward(x, weights, layers):
    images = [x]
    for (kernel, bias), layer in zip(weights, layers, strict=True):
        images.append(convolve(images[-1], kernel, bias, layer))
    return images[-1], (images, [kernel for kernel, _ in weights])


def _stack_backward(layers, residuals, g):
    images, kernels = residuals
    g = before_slope(g, images[-1], layers[-1].slope)
    gradients = []
    for i in range(len(layers) - 1, 0, -1):
        before = layers[i - 1].slope
        g, *pair = _gradients(images[i], kernels[i], g, layers[i], before)
        gradients.append(tuple(pair))
    # In calls of their own: often nobody wants the gradient at the first images.
    first = _plain_gradients if layers[0].operation == "correlate" else _gradients
    dx, *pair = first(images[0], kernels[0], g, layers[0], 1.0)
    gradients.append(tuple(pair))
    return dx, gradients[::-1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def convolve(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, layer: Layer
) -> jax.Array:
    """One convolution.

    Args:
      x: ``[N, H, W, C]``.
      kernel: ``[kh, kw, C, O]``.
      bias: ``[O]``.
      layer: what it is beside its weights.

    Returns:
      ``[N, H', W', O]``.
    """
    y = jax.ShapeDtypeStruct((x.shape[0], *layer.size, kernel.shape[3]), x.dtype)
    return _call(layer.operation, y, (x, kernel, bias), layer, layer.slope)


def _convolve_forward(x, kernel, bias, layer):
    y = convolve(x, kernel, bias, layer)
    return y, (x, kernel, y)


def _convolve_backward(layer, residuals, g):
    x, kernel, y = residuals
    g = before_slope(g, y, layer.slope)
    return _plain_gradients(x, kernel, g, layer, 1.0)


convolve.defvjp(_convolve_forward, _convolve_backward)


def _transpose(g, kernel, x, layer):
    """What a convolution without a slope gives back to its images."""
    other = {"correlate": "spread", "spread": "correlate"}[layer.operation]
    back = layer._replace(operation=other, size=x.shape[1:3], slope=1.0)
    kernel = kernel.swapaxes(2, 3)
    return convolve(g, kernel, jnp.zeros(kernel.shape[3], g.dtype), back)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _sum_over_images(x, g, stride, low, window):
    """``[kh, kw, C, O]``: sum over n and i of x[n, stride i + u - low]' g[n, i]."""
    dkernel = jax.ShapeDtypeStruct((*window, x.shape[3], g.shape[3]), x.dtype)
    layer = Layer("correlate", stride, low, g.shape[1:3])
    return _call("kernel_gradient", dkernel, (x, g), layer)


def _sum_forward(x, g, *geometry):
    return _sum_over_images(x, g, *geometry), (x, g)


def _sum_backward(stride, low, window, residuals, kernel):
    x, g = residuals
    layer = Layer("correlate", stride, low, g.shape[1:3])
    no_bias = jnp.zeros(kernel.shape[3], kernel.dtype)
    return _transpose(g, kernel, x, layer), convolve(x, kernel, no_bias, layer)


_sum_over_images.defvjp(_sum_forward, _sum_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _gradients(x, kernel, g, layer, slope):
    """All gradients of a convolution of x, which a leaky ReLU has made.

    Returns:
      The gradient before that leaky ReLU, that at the kernel, that at the bias.
    """
    back = kernel.swapaxes(2, 3)
    shapes = [x, back if layer.operation == "spread" else kernel, g[0, 0, 0]]
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in shapes]
    name = f"{layer.operation}_gradients"
    dx, dkernel, dbias = _call(name, shapes, (x, back, g), layer, slope, {0: 0})
    if layer.operation == "spread":
        dkernel = dkernel.swapaxes(2, 3)
    return dx, dkernel, dbias


def _plain_gradients(x, kernel, g, layer, slope):
    """The same from functions that have derivatives themselves."""
    geometry = layer.stride, layer.low, kernel.shape[:2]
    if layer.operation == "upsample":
        layer = layer._replace(operation="spread")
        kernel, pull = jax.vjp(_as_spread, kernel)
        dx, dkernel, dbias = _plain_gradients(x, kernel, g, layer, slope)
        return dx, *pull(dkernel), dbias
    if layer.operation == "correlate":
        dkernel = _sum_over_images(x, g, *geometry)
    else:
        dkernel = _sum_over_images(g, x, *geometry).swapaxes(2, 3)
    dx = before_slope(_transpose(g, kernel, x, layer), x, slope)
    return dx, dkernel, g.sum((0, 1, 2))


def _gradients_forward(x, kernel, g, layer, slope):
    return jax.vjp(
        lambda *arrays: _plain_gradients(*arrays, layer, slope), x, kernel, g
    )


def _gradients_backward(layer, slope, pull, cotangents):
    return pull(cotangents)


_gradients.defvjp(_gradients_forward, _gradients_backward)
stack.defvjp(_stack_forward, _stack_backward)


def before_slope(g: jax.Array, y: jax.Array, slope: float) -> jax.Array:
    """The gradient at z of ``y = max(z, slope z)``, 0 < slope <= 1, whose signs are one.

    Args:
      g: the gradient at y, any shape.
      y: of the same shape.
      slope: 1 changes nothing.

    Returns:
      An array like `g`.
    """
    return g if slope == 1 else jnp.where(y >= 0, g, slope * g)


def _call(name, results, arrays, layer, slope=None, aliases=None):
    """A function of `native/conv.cc`."""
    call = jax.ffi.ffi_call(
        f"nwm_{name}",
        results,
        vmap_method="sequential",
        input_output_aliases=aliases,
    )
    attributes = {} if slope is None else {"slope": np.float64(slope)}
    top, left = (np.int64(n) for n in layer.low)
    return call(
        *arrays, stride=np.int64(layer.stride), top=top, left=left, **attributes
    )

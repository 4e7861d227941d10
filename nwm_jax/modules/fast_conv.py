"""Convolutions made for CPUs, and all their gradients.

XLA's own are slow on CPUs where they are differentiated, and slower by far inside of
loops. Those of `native/` are products of small matrices whose sums stay in registers, for
3x3 kernels with many channels after Winograd's transform (Lavin & Gray, arXiv:1509.09308).

A convolution and its transpose are bilinear in images and kernel, and so is the gradient
at the kernel: the derivatives of each of the three are the other two. Reverse mode only,
of any order; forward mode raises a TypeError.

Seven functions are all that is computed (see `modules.xla_conv`). Which formulation of
them is compiled is decided when a program is lowered: on CPUs the compiled one, or where
there is none `PLAIN_ON_CPU`, on accelerators XLA's.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nwm_jax import native
from nwm_jax.modules import xla_conv
from nwm_jax.modules.conv_layers import Layer, Pair, as_spread, before_slope

# The formulation for CPUs without compiled functions, a module like `xla_conv`.
PLAIN_ON_CPU = xla_conv

Weights = tuple[jax.Array, jax.Array]
# At the images, the kernel and the bias.
Gradients = tuple[jax.Array, jax.Array, jax.Array]


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


def _stack_forward(
    x: jax.Array, weights: Sequence[Weights], layers: tuple[Layer, ...]
) -> tuple[jax.Array, tuple[list[jax.Array], list[jax.Array]]]:
    images = [x]
    for (kernel, bias), layer in zip(weights, layers, strict=True):
        images.append(convolve(images[-1], kernel, bias, layer))
    return images[-1], (images, [kernel for kernel, _ in weights])


def _stack_backward(
    layers: tuple[Layer, ...],
    residuals: tuple[list[jax.Array], list[jax.Array]],
    g: jax.Array,
) -> tuple[jax.Array, list[Weights]]:
    images, kernels = residuals
    g = before_slope(g, images[-1], layers[-1].slope)
    gradients = []
    for i in range(len(layers) - 1, 0, -1):
        before = layers[i - 1].slope
        g, dkernel, dbias = _gradients(images[i], kernels[i], g, layers[i], before)
        gradients.append((dkernel, dbias))
    # In calls of their own: often nobody wants the gradient at the first images.
    first = _plain_gradients if layers[0].operation == "correlate" else _gradients
    dx, dkernel, dbias = first(images[0], kernels[0], g, layers[0], 1.0)
    gradients.append((dkernel, dbias))
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
    y: jax.Array = _call(layer.operation, (x, kernel, bias), layer=layer)
    return y


def _convolve_forward(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, layer: Layer
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
    y = convolve(x, kernel, bias, layer)
    return y, (x, kernel, y)


def _convolve_backward(
    layer: Layer, residuals: tuple[jax.Array, jax.Array, jax.Array], g: jax.Array
) -> Gradients:
    x, kernel, y = residuals
    g = before_slope(g, y, layer.slope)
    return _plain_gradients(x, kernel, g, layer, 1.0)


convolve.defvjp(_convolve_forward, _convolve_backward)


def _transpose(
    g: jax.Array, kernel: jax.Array, x: jax.Array, layer: Layer
) -> jax.Array:
    """What a convolution without a slope returns to its images."""
    other = {"correlate": "spread", "spread": "correlate"}[layer.operation]
    back = layer._replace(operation=other, size=x.shape[1:3], slope=1.0)
    kernel = kernel.swapaxes(2, 3)
    return convolve(g, kernel, jnp.zeros(kernel.shape[3], g.dtype), back)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _sum_over_images(
    x: jax.Array, g: jax.Array, stride: int, low: Pair, window: Pair
) -> jax.Array:
    """``[kh, kw, C, O]``: sum over n and i of x[n, stride i + u - low]' g[n, i]."""
    layer = Layer("correlate", stride, low, g.shape[1:3])
    kernel: jax.Array = _call("kernel_gradient", (x, g), layer=layer, window=window)
    return kernel


def _sum_forward(
    x: jax.Array, g: jax.Array, *geometry: Any
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _sum_over_images(x, g, *geometry), (x, g)


def _sum_backward(
    stride: int,
    low: Pair,
    window: Pair,
    residuals: tuple[jax.Array, jax.Array],
    kernel: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, g = residuals
    layer = Layer("correlate", stride, low, g.shape[1:3])
    no_bias = jnp.zeros(kernel.shape[3], kernel.dtype)
    return _transpose(g, kernel, x, layer), convolve(x, kernel, no_bias, layer)


_sum_over_images.defvjp(_sum_forward, _sum_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _gradients(
    x: jax.Array, kernel: jax.Array, g: jax.Array, layer: Layer, slope: float
) -> Gradients:
    """All gradients of a convolution of x, which a leaky ReLU has made.

    Returns:
      The gradient before that leaky ReLU, that at the kernel, that at the bias.
    """
    arrays = x, kernel.swapaxes(2, 3), g
    name = f"{layer.operation}_gradients"
    dx, dkernel, dbias = _call(name, arrays, layer=layer._replace(slope=slope))
    if layer.operation == "spread":
        dkernel = dkernel.swapaxes(2, 3)
    return dx, dkernel, dbias


def _plain_gradients(
    x: jax.Array, kernel: jax.Array, g: jax.Array, layer: Layer, slope: float
) -> Gradients:
    """The same from functions that have derivatives themselves."""
    geometry = layer.stride, layer.low, kernel.shape[:2]
    if layer.operation == "upsample":
        layer = layer._replace(operation="spread")
        kernel, pull = jax.vjp(as_spread, kernel)
        dx, dkernel, dbias = _plain_gradients(x, kernel, g, layer, slope)
        return dx, *pull(dkernel), dbias
    if layer.operation == "correlate":
        dkernel = _sum_over_images(x, g, *geometry)
    else:
        dkernel = _sum_over_images(g, x, *geometry).swapaxes(2, 3)
    dx = before_slope(_transpose(g, kernel, x, layer), x, slope)
    return dx, dkernel, g.sum((0, 1, 2))


def _gradients_forward(
    x: jax.Array, kernel: jax.Array, g: jax.Array, layer: Layer, slope: float
) -> tuple[Gradients, Callable[..., Any]]:
    return jax.vjp(
        lambda x, kernel, g: _plain_gradients(x, kernel, g, layer, slope), x, kernel, g
    )


def _gradients_backward(
    layer: Layer, slope: float, pull: Callable[..., Any], cotangents: Gradients
) -> Any:
    return pull(cotangents)


_gradients.defvjp(_gradients_forward, _gradients_backward)
stack.defvjp(_stack_forward, _stack_backward)


def _call(name: str, arrays: tuple[jax.Array, ...], **geometry: Any) -> Any:
    """One of the seven functions, in the formulation of the device that runs it."""
    compiled = arrays[0].dtype in _COMPILED_TYPES and native.available()
    return _compute(name, compiled, tuple(geometry.items()), *arrays)


_COMPILED_TYPES = (np.float32, np.float64)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _compute(
    name: str,
    compiled: bool,
    geometry: tuple[tuple[str, Any], ...],
    *arrays: jax.Array,
) -> Any:
    plain, on_cpu = (
        functools.partial(getattr(module, name), **dict(geometry))
        for module in (xla_conv, PLAIN_ON_CPU)
    )
    cpu = _compiled(name, geometry) if compiled else on_cpu
    return lax.platform_dependent(*arrays, cpu=cpu, default=plain)


def _compiled(name: str, geometry: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    """A function of `native/conv.cc`, with a rule for what `jax.vmap` maps over."""

    @jax.custom_batching.custom_vmap
    def run(*arrays: jax.Array) -> Any:
        return _ffi_call(name, arrays, **dict(geometry))

    @run.def_vmap
    def run_mapped(
        size: int, mapped: Sequence[bool], *arrays: jax.Array
    ) -> tuple[Any, Any]:
        _, kernel, last = (*mapped, False)[:3]
        if name == "kernel_gradient" or kernel:
            results = _one_by_one(run, mapped, arrays)
        elif name.endswith("_gradients"):
            axes = [0 if each else None for each in mapped]
            results = jax.vmap(_separate_gradients(**dict(geometry)), axes)(*arrays)
        elif last:
            results = _one_by_one(run, mapped, arrays)
        else:  # images that are mapped over are more images of one call
            x, *weights = arrays
            y = run(x.reshape(-1, *x.shape[2:]), *weights)
            results = y.reshape(*x.shape[:2], *y.shape[1:])
        return results, jax.tree.map(lambda _: True, results)

    return run


def _one_by_one(
    run: Callable[..., Any], mapped: Sequence[bool], arrays: tuple[jax.Array, ...]
) -> Any:
    def one(xs: list[jax.Array]) -> Any:
        own = iter(xs)
        each = (next(own) if m else a for m, a in zip(mapped, arrays, strict=True))
        return run(*each)

    return lax.map(one, [a for m, a in zip(mapped, arrays, strict=True) if m])


def _separate_gradients(layer: Layer) -> Callable[..., Gradients]:
    """The gradients in functions of which that at the images can be mapped over."""

    def gradients(x: jax.Array, back: jax.Array, g: jax.Array) -> Gradients:
        kernel = back.swapaxes(2, 3)
        dx, dkernel, dbias = _plain_gradients(x, kernel, g, layer, layer.slope)
        if layer.operation == "spread":
            dkernel = dkernel.swapaxes(2, 3)
        return dx, dkernel, dbias

    return gradients


def _ffi_call(
    name: str, arrays: tuple[jax.Array, ...], layer: Layer, window: Pair | None = None
) -> Any:
    # Sizes that do not fit are an error of the plain formulation already here.
    plain = functools.partial(getattr(xla_conv, name), layer=layer)
    plain = plain if window is None else functools.partial(plain, window=window)
    call: Callable[..., Any] = jax.ffi.ffi_call(
        f"nwm_{name}",
        jax.eval_shape(plain, *arrays),
        input_output_aliases={0: 0} if name.endswith("_gradients") else None,
    )
    attributes = {} if window else {"slope": np.float64(layer.slope)}
    top, left = (np.int64(n) for n in layer.low)
    return call(
        *arrays, stride=np.int64(layer.stride), top=top, left=left, **attributes
    )

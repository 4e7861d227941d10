"""Two-dimensional convolution with more than one implementation behind one name.

XLA's convolution is the right one on an accelerator. On a CPU its weight gradient
runs at a small fraction of the speed of a matrix product, so that `conv` and
`upsample_conv` carry gradients of their own there. Callers never see which one ran.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax import errors

IMPLEMENTATIONS = ("auto", "xla", "fast")

# Images whose patches are multiplied at once: few enough to stay in the cache.
_CHUNK = 4

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int = 1,
    padding: str = "SAME",
    implementation: str = "auto",
) -> jax.Array:
    """Cross-correlates images with a kernel, without a bias.

    y[n, i, j, o] = sum over u, v, c of x[n, s i + u - top, s j + v - left, c]
    kernel[u, v, c, o], with zeros outside of the image.

    Args:
      x: images [N, H, W, C], float32 or float64.
      kernel: [kh, kw, C, O].
      stride: s >= 1, the same along both axes.
      padding: "SAME" (output ceil(H / s); an odd number of rows to pad puts the
        larger half below and to the right: 3x3 with stride 2 on an even side pads
        0 and 1) or "VALID" (none).
      implementation: "xla" (XLA's convolution and its automatic gradient), "fast"
        (first derivatives in reverse mode only; made for CPUs) or "auto" ("fast" on
        a CPU, "xla" elsewhere). Values agree to rounding.

    Returns:
      [N, H', W', O] of the type of `x`.

    Raises:
      UserError: unknown implementation or padding.
    """
    if padding not in ("SAME", "VALID"):
        raise errors.UserError(
            f"unknown padding {padding!r} of a convolution; choose SAME or VALID"
        )
    if _resolve(implementation) == "xla":
        return _xla_conv(x, kernel, stride, padding)
    return _fast_conv(x, kernel, stride, padding)


def upsample_conv(
    x: jax.Array, kernel: jax.Array, implementation: str = "auto"
) -> jax.Array:
    """Repeats every pixel twice along both axes, then convolves 3x3 with zero padding.

    y = conv(repeat(repeat(x, 2, axis=1), 2, axis=2), kernel), to rounding.

    Args:
      x: images [N, H, W, C], float32 or float64.
      kernel: [3, 3, C, O].
      implementation: as for `conv`.

    Returns:
      [N, 2 H, 2 W, O] of the type of `x`.

    Raises:
      UserError: unknown implementation.
    """
    if _resolve(implementation) == "xla":
        return _xla_conv(_repeat(x), kernel, 1, "SAME")
    return _fast_conv(_repeat(x), kernel, 1, "SAME")


def _resolve(implementation: str) -> str:
    if implementation not in IMPLEMENTATIONS:
        raise errors.UserError(
            f"unknown convolution {implementation!r}; "
            f"choose one of {', '.join(IMPLEMENTATIONS)}"
        )
    if implementation == "auto":
        return "fast" if jax.default_backend() == "cpu" else "xla"
    return implementation


def _repeat(x: jax.Array) -> jax.Array:
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def _xla_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: Any) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _fast_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    return _xla_conv(x, kernel, stride, padding)


def _fast_conv_forward(x, kernel, stride, padding):
    return _xla_conv(x, kernel, stride, padding), (x, kernel)


def _fast_conv_backward(stride, padding, residuals, g):
    x, kernel = residuals
    pads = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride,) * 2, padding)
    return (
        _input_gradient(g, kernel, x.shape, stride, pads),
        _kernel_gradient(x, g, kernel.shape, stride, pads),
    )


_fast_conv.defvjp(_fast_conv_forward, _fast_conv_backward)


def _input_gradient(g, kernel, shape, stride, pads):
    """The gradient at the input: g, spread by the stride, with the turned kernel."""
    padding = []
    for axis, (low, _) in enumerate(pads):
        before = kernel.shape[axis] - 1 - low
        spread = (g.shape[1 + axis] - 1) * stride + 1
        padding.append((before, shape[1 + axis] + low - spread))
    return lax.conv_general_dilated(
        g,
        kernel[::-1, ::-1].swapaxes(2, 3),
        (1, 1),
        padding,
        lhs_dilation=(stride, stride),
        dimension_numbers=_LAYOUT,
    )


def _kernel_gradient(x, g, shape, stride, pads):
    """The gradient at the kernel: patches of x times g, a few images at a time."""
    kh, kw, c, o = shape
    height, width = g.shape[1:3]

    def add(total, chunk):
        x, g = chunk
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
        patches = jnp.concatenate(
            [
                x[:, u : u + rows : stride, v : v + columns : stride]
                for u in range(kh)
                for v in range(kw)
            ],
            axis=-1,
        )
        return total + jnp.einsum("nhwc,nhwo->co", patches, g)

    total = jnp.zeros((kh * kw * c, o), x.dtype)
    return _fold(add, total, (x, g)).reshape(shape)


def _fold(add: Callable, total: jax.Array, arrays: tuple[jax.Array, ...]) -> jax.Array:
    """Adds up chunks of a few images; the remainder is a chunk of its own."""
    n = arrays[0].shape[0]
    whole = n - n % _CHUNK
    if whole:
        chunks = [a[:whole].reshape(-1, _CHUNK, *a.shape[1:]) for a in arrays]
        total, _ = lax.scan(lambda t, c: (add(t, c), None), total, chunks)
    if n > whole:
        total = add(total, [a[whole:] for a in arrays])
    return total

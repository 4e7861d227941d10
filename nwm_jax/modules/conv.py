"""Two-dimensional convolution with more than one implementation behind one name.

XLA's convolution is the right one on an accelerator; on CPUs the compiled one of
`nwm_jax.native` is, which `modules.fast_conv` chooses when a program is lowered. Callers
never see which one ran.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax import errors, native
from nwm_jax.core.coupling import turned
from nwm_jax.modules import conv_layers, fast_conv
from nwm_jax.modules.devices import on_each_device
from nwm_jax.modules.xla_conv import repeat

IMPLEMENTATIONS = ("auto", "xla", "fast", "bf16")

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int = 1,
    padding: str = "SAME",
    slope: float = 1.0,
    implementation: str = "auto",
) -> jax.Array:
    """Cross-correlates images with a kernel; a bias and a leaky ReLU may follow.

        z[n, i, j, o] = bias[o] + sum over u, v, c of
            x[n, s i + u - top, s j + v - left, c] kernel[u, v, c, o]
        y = max(z, slope z)

    with zeros outside of the image.

    Args:
      x: images [N, H, W, C], float32 or float64.
      kernel: [kh, kw, C, O].
      bias: [O], or None for zeros.
      stride: s >= 1, the same along both axes.
      padding: "SAME" (output ceil(H / s); an odd number of rows to pad puts the
        larger half below and to the right: 3x3 with stride 2 on an even side pads
        0 and 1) or "VALID" (none).
      slope: in (0, 1]; 1 changes nothing.
      implementation: "auto" (compiled for the device that runs it: on CPUs the
        functions of `nwm_jax.native`, or a plain formulation where there are none;
        XLA's convolution elsewhere), "fast" (the same, but an error where there are no
        compiled functions), "xla" (XLA's convolution and its automatic gradient
        everywhere): these agree to rounding, and the first two have no forward-mode
        derivatives, which raise a TypeError. Or "bf16", for accelerators: what is
        multiplied is rounded to bfloat16, here and in the gradients, and summed in
        float32 (no forward-mode derivatives either).

    Returns:
      [N, H', W', O] of the type of `x`.

    Raises:
      TypeError: shapes or types that do not fit each other.
      UserError: unknown implementation or padding, a stride or slope out of range.
    """
    if padding not in ("SAME", "VALID"):
        raise errors.UserError(
            f"unknown padding {padding!r} of a convolution; choose SAME or VALID"
        )
    implementation = resolve(implementation)
    x, kernel, bias = _checked(x, kernel, bias, stride, slope)
    if implementation in ("auto", "fast"):
        layer = conv_layers.correlation(
            x.shape[1:3], kernel.shape[:2], stride, padding, slope
        )
        return _fast(x, kernel, bias, layer)
    product = _bf16_conv if implementation == "bf16" else _xla_conv
    y = product(x, kernel, stride, padding)
    y = y if bias is None else y + bias
    return conv_layers.leaky_relu(y, slope)


def upsample_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    slope: float = 1.0,
    implementation: str = "auto",
) -> jax.Array:
    """Repeats every pixel twice along both axes, then convolves 3x3 with zero padding.

    y = conv(repeat(repeat(x, 2, axis=1), 2, axis=2), kernel, bias, slope=slope), to
    rounding.

    Args:
      x: images [N, H, W, C], float32 or float64.
      kernel: [3, 3, C, O].
      bias: as for `conv`.
      slope: as for `conv`.
      implementation: as for `conv`.

    Returns:
      [N, 2 H, 2 W, O] of the type of `x`.

    Raises:
      TypeError: as for `conv`.
      UserError: unknown implementation or a kernel that is not 3x3.
    """
    implementation = resolve(implementation)
    x, kernel, bias = _checked(x, kernel, bias, 1, slope)
    if kernel.shape[:2] != (3, 3):
        raise errors.UserError(
            f"upsample_conv needs a 3x3 kernel, got {kernel.shape[0]}x{kernel.shape[1]}"
        )
    if implementation in ("auto", "fast"):
        layer, kernel = conv_layers.upsampling(x.shape[1:3], kernel, slope)
        return _fast(x, kernel, bias, layer)
    return conv(repeat(x), kernel, bias, slope=slope, implementation=implementation)


def _fast(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, layer: conv_layers.Layer
) -> jax.Array:
    if bias is None:
        bias = jnp.zeros(kernel.shape[3], kernel.dtype)
    return on_each_device(
        lambda x, weights: fast_conv.convolve(x, *weights, layer), x, (kernel, bias)
    )


def check(x: jax.Array, kernel: jax.Array, bias: jax.Array | None) -> None:
    """Refuses arrays that do not fit each other, alike for every implementation.

    Args:
      x: as for `conv`.
      kernel: as for `conv`.
      bias: as for `conv`.

    Raises:
      TypeError: numbers of axes or channels, or types, that do not fit.
    """
    got = f"images {_described(x)} and a kernel {_described(kernel)}"
    if x.ndim != 4 or kernel.ndim != 4:
        raise TypeError(f"conv needs [N, H, W, C] and [kh, kw, C, O], got {got}")
    if x.shape[3] != kernel.shape[2]:
        raise TypeError(f"conv needs the same channels C in both, got {got}")
    if x.dtype != kernel.dtype or not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"conv needs the same floating-point type in both, got {got}")
    if bias is not None and (bias.shape, bias.dtype) != (kernel.shape[3:], x.dtype):
        needed = f"{x.dtype}[{kernel.shape[3]}]"
        raise TypeError(f"conv needs a bias {needed}, got {_described(bias)}")


def _described(array: jax.Array) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _checked(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, stride: int, slope: float
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    bias = None if bias is None else jnp.asarray(bias)
    check(x, kernel, bias)
    if stride < 1:
        raise errors.UserError(f"stride={stride} of a convolution; take 1 or more")
    if not 0 < slope <= 1:
        raise errors.UserError(f"slope={slope} of a leaky ReLU is not in (0, 1]")
    return x, kernel, bias


def resolve(implementation: str) -> str:
    """Returns the name of an implementation that can be had here.

    Raises:
      UserError: unknown implementation, or "fast" where it cannot be had.
    """
    if implementation not in IMPLEMENTATIONS:
        raise errors.UserError(
            f"unknown convolution {implementation!r}; "
            f"choose one of {', '.join(IMPLEMENTATIONS)}"
        )
    if implementation == "fast" and (problem := native.problem()):
        raise errors.UserError(f"conv=fast cannot be had: {problem}; or take conv=auto")
    if implementation == "fast" and jax.default_backend() != "cpu":
        raise errors.UserError(
            f"conv=fast is made for CPUs, this is a {jax.default_backend()}; take auto"
        )
    return implementation


def _xla_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _bf16_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    return _bf16_product(x, kernel, (stride, stride), padding, _LAYOUT)


def _bf16_forward(
    x: jax.Array, kernel: jax.Array, stride: int, padding: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _bf16_conv(x, kernel, stride, padding), (x, kernel)


def _bf16_backward(
    stride: int, padding: str, residuals: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], g.shape[1:3], strict=True))
    pads = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride,) * 2, padding)
    # With `stride - 1` zeros between its pixels g is (out - 1) stride + 1 wide.
    outer = [
        (k - 1 - low, n + low - (out - 1) * stride - 1)
        for (n, k, out), (low, _) in zip(sizes, pads, strict=True)
    ]
    back = turned(kernel)
    dx = _bf16_product(g, back, (1, 1), outer, _LAYOUT, lhs_dilation=(stride,) * 2)
    inner = [
        (low, (out - 1) * stride + k - n - low)
        for (n, k, out), (low, _) in zip(sizes, pads, strict=True)
    ]
    layout = ("CHWN", "IHWO", "HWNC")
    dkernel = _bf16_product(x, g, (1, 1), inner, layout, rhs_dilation=(stride,) * 2)
    return dx, dkernel


_bf16_conv.defvjp(_bf16_forward, _bf16_backward)


def _bf16_product(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: str | Sequence[tuple[int, int]],
    layout: tuple[str, str, str],
    **dilations: Any,
) -> jax.Array:
    """A convolution of numbers rounded to bfloat16, summed in float32."""
    y = lax.conv_general_dilated(
        x.astype(jnp.bfloat16),
        kernel.astype(jnp.bfloat16),
        strides,
        padding,
        dimension_numbers=layout,
        preferred_element_type=jnp.float32,
        **dilations,
    )
    return y.astype(x.dtype)

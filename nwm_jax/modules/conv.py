"""Two-dimensional convolution with more than one implementation behind one name.

XLA's convolution is the right one on an accelerator; on CPUs `modules.fast_conv` is.
Callers never see which one ran.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax import errors, native
from nwm_jax.core.coupling import turned
from nwm_jax.modules import fast_conv
from nwm_jax.modules.devices import on_each_device

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
      implementation: "xla" (XLA's convolution and its automatic gradient), "fast"
        (made for CPUs; no forward-mode derivatives, which raise a TypeError), "auto"
        ("fast" on a CPU, "xla" elsewhere): these agree to rounding. Or "bf16", for
        accelerators: what is multiplied is rounded to bfloat16, here and in the
        gradients, and summed in float32 (no forward-mode derivatives either).

    Returns:
      [N, H', W', O] of the type of `x`.

    Raises:
      UserError: unknown implementation or padding.
    """
    if padding not in ("SAME", "VALID"):
        raise errors.UserError(
            f"unknown padding {padding!r} of a convolution; choose SAME or VALID"
        )
    implementation = resolve(implementation)
    if implementation == "fast":
        layer = fast_conv.correlation(
            x.shape[1:3], kernel.shape[:2], stride, padding, slope
        )
        return _fast(x, kernel, bias, layer)
    product = _bf16_conv if implementation == "bf16" else _xla_conv
    y = product(x, kernel, stride, padding)
    y = y if bias is None else y + bias
    return y if slope == 1 else leaky_relu(y, slope)


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
      UserError: unknown implementation or a kernel that is not 3x3.
    """
    if kernel.shape[:2] != (3, 3):
        raise errors.UserError(
            f"upsample_conv needs a 3x3 kernel, got {kernel.shape[0]}x{kernel.shape[1]}"
        )
    implementation = resolve(implementation)
    if implementation == "fast":
        layer, kernel = fast_conv.upsampling(x.shape[1:3], kernel, slope)
        return _fast(x, kernel, bias, layer)
    return conv(_repeat(x), kernel, bias, slope=slope, implementation=implementation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def leaky_relu(x: jax.Array, slope: float) -> jax.Array:
    """``max(x, slope x)`` with 0 < slope < 1, any shape.

    Its gradient is read off the result, which the next layer keeps anyway: keeping the
    argument too, as the automatic gradient does, costs a third of a decoder's memory.
    """
    return jnp.maximum(x, slope * x)


def _leaky_relu_forward(x, slope):
    y = leaky_relu(x, slope)
    return y, y


def _leaky_relu_backward(slope, y, g):
    return (fast_conv.before_slope(g, y, slope),)


leaky_relu.defvjp(_leaky_relu_forward, _leaky_relu_backward)


def _fast(x, kernel, bias, layer):
    if bias is None:
        bias = jnp.zeros(kernel.shape[3], kernel.dtype)
    return on_each_device(
        lambda x, weights: fast_conv.convolve(x, *weights, layer), x, (kernel, bias)
    )


def resolve(implementation: str) -> str:
    """Returns what "auto" means here, or the name itself.

    Raises:
      UserError: unknown implementation, or "fast" where it cannot be had.
    """
    if implementation not in IMPLEMENTATIONS:
        raise errors.UserError(
            f"unknown convolution {implementation!r}; "
            f"choose one of {', '.join(IMPLEMENTATIONS)}"
        )
    on_cpu = jax.default_backend() == "cpu"
    if implementation == "auto":
        return "fast" if on_cpu and native.AVAILABLE else "xla"
    if implementation == "fast" and not on_cpu:
        raise errors.UserError(
            f"conv=fast is made for CPUs, this is a {jax.default_backend()}; take auto"
        )
    if implementation == "fast" and not native.AVAILABLE:
        raise errors.UserError(f"conv=fast is missing: {native.REMEDY}; or take auto")
    return implementation


def _repeat(x: jax.Array) -> jax.Array:
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def _xla_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _bf16_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    return _bf16_product(x, kernel, (stride, stride), padding, _LAYOUT)


def _bf16_forward(x, kernel, stride, padding):
    return _bf16_conv(x, kernel, stride, padding), (x, kernel)


def _bf16_backward(stride, padding, residuals, g):
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


def _bf16_product(x, kernel, strides, padding, layout, **dilations):
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

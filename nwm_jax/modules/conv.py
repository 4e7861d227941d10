"""Two-dimensional convolution with more than one implementation behind one name.

XLA's convolution is the right one on an accelerator; on CPUs `modules.fast_conv` is.
Callers never see which one ran.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax import errors
from nwm_jax.core.coupling import turned
from nwm_jax.modules import fast_conv
from nwm_jax.modules.devices import on_each_device
from nwm_jax.modules.images import over_images

IMPLEMENTATIONS = ("auto", "xla", "fast", "bf16")

# Measured on two cores: with 8 channels XLA's convolution is as fast as products, and so
# are its gradients of small images.
_WIDE = 32
_NARROW_PIXELS = 16 * 16

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
    if implementation == "bf16":
        return _bf16_conv(x, kernel, stride, padding)
    if implementation == "xla":
        return _xla_conv(x, kernel, stride, padding)
    _, h, w, c = x.shape
    pads = lax.padtype_to_pads((h, w), kernel.shape[:2], (stride,) * 2, padding)
    pads = tuple(tuple(pair) for pair in pads)
    if is_wide(*kernel.shape[2:]):
        # About the largest array on the way: what is read, or what is made.
        shape = (h, w, max(c, -(-kernel.shape[3] // stride**2)))
        return over_images(
            lambda k, x: fast_conv.conv(x, k, stride, pads), kernel, x, shape
        )
    if stride == 1 and h * w >= _NARROW_PIXELS:
        return on_each_device(lambda x, k: fast_conv.narrow_conv(x, k, pads), x, kernel)
    return _xla_conv(x, kernel, stride, padding)


def is_wide(*channels: int) -> bool:
    """Whether layers of so many channels are faster as products of a few images."""
    return max(channels) >= _WIDE


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
      UserError: unknown implementation or a kernel that is not 3x3.
    """
    if kernel.shape[:2] != (3, 3):
        raise errors.UserError(
            f"upsample_conv needs a 3x3 kernel, got {kernel.shape[0]}x{kernel.shape[1]}"
        )
    implementation = resolve(implementation)
    if implementation == "fast":
        _, h, w, c = x.shape
        o = kernel.shape[-1]
        # The images that are made, or where they are small, the patches of others.
        wide = is_wide(c, o)
        shape = (2 * h, 2 * w, max(c, o)) if wide else (h + 1, w + 1, 4 * (c + o))
        return over_images(lambda k, x: fast_conv.upsample_conv(x, k), kernel, x, shape)
    return conv(_repeat(x), kernel, implementation=implementation)


def resolve(implementation: str) -> str:
    """Returns what "auto" means here, or the name itself.

    Raises:
      UserError: unknown implementation.
    """
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

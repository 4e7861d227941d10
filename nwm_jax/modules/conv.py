"""Two-dimensional convolution with more than one implementation behind one name.

XLA's convolution is the right one on an accelerator. On a CPU its weight gradient is
slow, so that `conv` and `upsample_conv` carry gradients of their own there, written
as matrix products over the patches of a few images at a time, which stay in the
cache. Callers never see which one ran. Where a mesh is set (`jax.set_mesh`), every
device does so with its own part of the images; without it XLA would gather them all
for those loops.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nwm_jax import errors
from nwm_jax.modules.devices import on_each_device

IMPLEMENTATIONS = ("auto", "xla", "fast", "bf16")

# Bytes of patches that are made and multiplied at once.
_CHUNK_BYTES = 2_500_000

# Below this size, and at any stride, XLA's own gradients of a convolution are as fast
# (measured on two cores; at 32x32 and 64 channels they take 2.6 times as long).
_FAST_PIXELS = 16 * 16

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
    implementation = _resolve(implementation)
    if implementation == "bf16":
        return _bf16_conv(x, kernel, stride, padding)
    fast = implementation == "fast" and stride == 1
    if fast and x.shape[1] * x.shape[2] >= _FAST_PIXELS:
        return on_each_device(lambda x, k: _fast_conv(x, k, padding), x, kernel)
    return _xla_conv(x, kernel, stride, padding)


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
    implementation = _resolve(implementation)
    if implementation == "fast":
        return on_each_device(_fast_upsample_conv, x, kernel)
    return conv(_repeat(x), kernel, implementation=implementation)


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
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    dx = _bf16_product(g, turned, (1, 1), outer, _LAYOUT, lhs_dilation=(stride,) * 2)
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _fast_conv(x: jax.Array, kernel: jax.Array, padding: str) -> jax.Array:
    return _xla_conv(x, kernel, 1, padding)


def _fast_conv_forward(x, kernel, padding):
    return _xla_conv(x, kernel, 1, padding), (x, kernel)


def _fast_conv_backward(padding, residuals, g):
    x, kernel = residuals
    window = kernel.shape[:2]
    pads = lax.padtype_to_pads(x.shape[1:3], window, (1, 1), padding)
    pads = [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(window, pads)]
    return _gradients_from_patches(x, g, kernel, 1, pads)


_fast_conv.defvjp(_fast_conv_forward, _fast_conv_backward)


# Upsampling by 2 and a 3x3 convolution is one transposed convolution of stride 2 with
# the 4x4 kernel that _spread returns: 16 products for 4 pixels in place of 36.


@jax.custom_vjp
def _fast_upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    _, h, w, c = x.shape
    o = kernel.shape[-1]
    # Rows 2 i - 1 and 2 i of y read rows i - 1 and i of x: [4 C, 4 O] takes a window
    # of 2x2 pixels of x to the 2x2 pixels of y around its middle. Row 2 i - 1 + a of
    # y reads row i - 1 + p of x through row 2 p + 1 - a of the 4x4 kernel.
    weights = _spread(kernel).reshape(2, 2, 2, 2, c, o)[:, ::-1, :, ::-1]
    weights = weights.transpose(0, 2, 4, 1, 3, 5).reshape(4 * c, 4 * o)

    def body(_, chunk):
        windows = _patches(*chunk, (2, 2), 1, ((1, 1), (1, 1)))
        y = (windows @ weights).reshape(-1, h + 1, w + 1, 2, 2, o)
        y = y.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2 * h + 2, 2 * w + 2, o)
        return None, y[:, 1:-1, 1:-1]

    size = (h + 1) * (w + 1) * 4 * (c + o) * x.dtype.itemsize
    return _over_chunks(body, None, [x], (2 * h, 2 * w, o), size)[1]


def _fast_upsample_forward(x, kernel):
    return _fast_upsample_conv(x, kernel), (x, kernel)


def _fast_upsample_backward(residuals, g):
    x, kernel = residuals
    spread, pull = jax.vjp(_spread, kernel)
    dx, dspread = _gradients_from_patches(x, g, spread, 2, ((1, 1), (1, 1)))
    return dx, *pull(dspread)


_fast_upsample_conv.defvjp(_fast_upsample_forward, _fast_upsample_backward)


def _spread(kernel):
    """[3, 3, C, O] to [4, 4, C, O]: the kernel convolved with 2x2 ones."""
    k = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    k = k[1:] + k[:-1]
    return k[:, 1:] + k[:, :-1]


def _gradients_from_patches(x, g, kernel, stride, pads):
    """Both gradients of a convolution (stride 1) or transposed one, from patches of g.

    dx[n, i] = sum over u, o of g[n, stride i + u - low, o] kernel[kh - 1 - u, :, o]
    (in both directions), and the gradient at the kernel is the same sum over n and i,
    with x in the place of the kernel: the patches of g serve both.
    """
    kh, kw, c, o = kernel.shape
    turned = kernel[::-1, ::-1].swapaxes(2, 3).reshape(kh * kw * o, c)

    def body(total, chunk):
        x, g = chunk
        patches = _patches(g, (kh, kw), stride, pads)
        return total + jnp.einsum("nhwc,nhwp->cp", x, patches), patches @ turned

    size = x.shape[1] * x.shape[2] * kh * kw * o * x.dtype.itemsize
    total = jnp.zeros((c, kh * kw * o), x.dtype)
    total, dx = _over_chunks(body, total, [x, g], x.shape[1:], size)
    total = total.reshape(c, kh, kw, o)[:, ::-1, ::-1]
    return dx, total.transpose(1, 2, 0, 3)


def _patches(x, window, stride, pads):
    """[N, H, W, C] to [N, H', W', kh kw C]: what each position of a window sees."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    kh, kw = window
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    # One axis after the other: as fast as both at once, and compiles sooner.
    x = [x[:, :, v : v + columns : stride] for v in range(kw)]
    x = jnp.concatenate(x, axis=-1)
    x = [x[:, u : u + rows : stride] for u in range(kh)]
    return jnp.concatenate(x, axis=-1)


def _over_chunks(body, total, arrays, out_shape, image_bytes):
    """Runs `total, out = body(total, chunk)` over chunks of a few images in turn.

    `arrays` [N, ...] are cut into chunks; the outs are put together to [N, *out_shape].
    Where the chunks do not divide N the last one starts early; if there is a total,
    what it repeats is zero in the first array, so that a sum of products counts it
    once. `image_bytes` is what the patches of one image take.
    """
    n = arrays[0].shape[0]
    count = -(-n // max(1, _CHUNK_BYTES // image_bytes))
    size = -(-n // count)
    count = -(-n // size)

    def step(i, carry):
        total, outs = carry
        start = jnp.minimum(i * size, n - size)
        chunk = [lax.dynamic_slice_in_dim(a, start, size) for a in arrays]
        if total is not None and n % size:
            new = start + jnp.arange(size) >= i * size
            chunk[0] = jnp.where(new[:, None, None, None], chunk[0], 0)
        total, out = body(total, chunk)
        return total, lax.dynamic_update_slice_in_dim(outs, out, start, 0)

    # Every element will be overwritten. A number from the data keeps XLA from making
    # one array of zeros for the whole program and copying it here.
    outs = jnp.full((n, *out_shape), arrays[0][0, 0, 0, 0])
    return lax.fori_loop(0, count, step, (total, outs))

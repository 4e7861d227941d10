"""Convolutions as matrix products, for CPUs: fast, and so are their gradients.

On CPUs XLA's convolution is slow where it is differentiated, and slower by far inside of
loops. Here every convolution is one of

- Winograd's F(2x2, 3x3) (Lavin & Gray, arXiv:1509.09308): 16 products for 4 pixels in place
  of 36, for large images with many channels;
- patches of the image times the kernel, or, where there are few outputs, the image times the
  kernel and then the sum of shifted results;
- strides are made into channels first, and upsampling by 2 followed by a 3x3 convolution is
  one transposed convolution of stride 2 with a 4x4 kernel: 16 products for 4 pixels in
  place of 36.

Functions take all images at once: `modules.images.over_images` gives them a few at a
time. Where there are few channels, products are small, and XLA's convolution is the faster
one but for its gradients: `narrow_conv`. Reverse-mode derivatives only, of any order.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nwm_jax.core.coupling import turned
from nwm_jax.modules.images import scan_chunks

Pads = tuple[tuple[int, int], tuple[int, int]]

# Winograd's transforms are worth their while from here on (measured at 8 to 64 channels and
# 8x8 to 32x32 pixels).
_WINOGRAD_PIXELS = 16 * 16
_WINOGRAD_CHANNELS = 32


def conv(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """Cross-correlates images with a kernel, without a bias.

    Args:
      x: images ``[N, H, W, C]``.
      kernel: ``[kh, kw, C, O]``.
      stride: s >= 1, along both axes.
      pads: rows of zeros above and below, columns left and right.

    Returns:
      ``[N, H', W', O]``.
    """
    if stride > 1:
        x, kernel = _stride_to_channels(x, kernel, stride, pads)
        return _conv(x, kernel, ((0, 0), (0, 0)))
    same = kernel.shape[:2] == (3, 3) and pads == ((1, 1), (1, 1))
    height, width = x.shape[1:3]
    large = height * width >= _WINOGRAD_PIXELS and not (height % 2 or width % 2)
    if same and large and min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS:
        return _winograd(x, kernel)
    return _conv(x, kernel, pads)


def _stride_to_channels(x, kernel, stride, pads):
    """The same convolution without a stride, of stride² as many channels."""
    kh, kw, c, o = kernel.shape
    grow = [(0, -k % stride) for k in (kh, kw)]
    kernel = jnp.pad(kernel, (*grow, (0, 0), (0, 0)))
    config = []
    for n, k, (low, high), (_, more) in zip(x.shape[1:3], (kh, kw), pads, grow):
        out = (n + low + high - k) // stride + 1
        config.append((low, (out - 1) * stride + k + more - n - low, 0))
    zero = jnp.zeros((), x.dtype)
    x = lax.pad(x, zero, ((0, 0, 0), *config, (0, 0, 0)))
    n, h, w, _ = x.shape
    x = x.reshape(n, h // stride, stride, w // stride, stride, c)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(*x.shape[:2], w // stride, -1)
    kernel = kernel.reshape(-1, stride, kernel.shape[1] // stride, stride, c, o)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    return x, kernel.reshape(*kernel.shape[:2], -1, o)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    kh, kw, c, o = kernel.shape
    if 2 * o > c:
        return patches(x, (kh, kw), 1, pads) @ kernel.reshape(-1, o)
    # Products of all taps at every pixel, each then moved to where it belongs.
    taps = x @ kernel.transpose(2, 0, 1, 3).reshape(c, -1)
    taps = jnp.pad(taps, ((0, 0), *pads, (0, 0)))
    h, w = taps.shape[1] - kh + 1, taps.shape[2] - kw + 1
    parts = [
        taps[:, u : u + h, v : v + w, (u * kw + v) * o :][..., :o]
        for u in range(kh)
        for v in range(kw)
    ]
    return functools.reduce(jnp.add, parts)


def _conv_forward(x, kernel, pads):
    return _conv(x, kernel, pads), (x, kernel)


def _conv_backward(pads, residuals, g):
    x, kernel = residuals
    kh, kw, c, o = kernel.shape
    back = _turned_pads(kernel, pads)
    if c >= o:
        return _gradients_from_patches(x, g, kernel, 1, back)
    # Patches of x are the smaller ones; if nobody wants dx, the only ones.
    near = patches(x, (kh, kw), 1, pads)
    dkernel = _summed_products(near, g).reshape(kernel.shape)
    return _conv(g, turned(kernel), back), dkernel


_conv.defvjp(_conv_forward, _conv_backward)


def _turned_pads(kernel, pads):
    """The zeros around the cotangent, for the gradient at the images."""
    sizes = kernel.shape[:2]
    return tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(sizes, pads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def narrow_conv(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    """As `conv` without a stride, by XLA; gradients from patches of a few images.

    Args:
      x: images ``[N, H, W, C]``.
      kernel: ``[kh, kw, C, O]``.
      pads: rows of zeros above and below, columns left and right.

    Returns:
      ``[N, H', W', O]``.
    """
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=layout)


def _narrow_forward(x, kernel, pads):
    return narrow_conv(x, kernel, pads), (x, kernel)


def _narrow_backward(pads, residuals, g):
    x, kernel = residuals
    back = _turned_pads(kernel, pads)

    def body(total, chunk):
        dx, dkernel = _gradients_from_patches(*chunk, kernel, 1, back)
        return total + dkernel, dx

    shape = (*x.shape[1:3], kernel.shape[0] * kernel.shape[1] * kernel.shape[3])
    total, dx = scan_chunks(body, jnp.zeros_like(kernel), (x, g), shape)
    return dx, total


narrow_conv.defvjp(_narrow_forward, _narrow_backward)


@jax.custom_vjp
def upsample_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Repeats every pixel twice along both axes, then convolves 3x3 with zero padding.

    Args:
      x: images ``[N, H, W, C]``.
      kernel: ``[3, 3, C, O]``.

    Returns:
      ``[N, 2 H, 2 W, O]``.
    """
    _, h, w, c = x.shape
    o = kernel.shape[-1]
    # Rows 2 i - 1 and 2 i of y read rows i - 1 and i of x: [4 C, 4 O] takes a window
    # of 2x2 pixels of x to the 2x2 pixels of y around its middle. Row 2 i - 1 + a of
    # y reads row i - 1 + p of x through row 2 p + 1 - a of the 4x4 kernel.
    weights = _spread(kernel).reshape(2, 2, 2, 2, c, o)[:, ::-1, :, ::-1]
    weights = weights.transpose(0, 2, 4, 1, 3, 5).reshape(4 * c, 4 * o)
    windows = patches(x, (2, 2), 1, ((1, 1), (1, 1)))
    y = (windows @ weights).reshape(-1, h + 1, w + 1, 2, 2, o)
    y = y.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2 * h + 2, 2 * w + 2, o)
    return y[:, 1:-1, 1:-1]


def _upsample_forward(x, kernel):
    return upsample_conv(x, kernel), (x, kernel)


def _upsample_backward(residuals, g):
    x, kernel = residuals
    spread, pull = jax.vjp(_spread, kernel)
    dx, dspread = _gradients_from_patches(x, g, spread, 2, ((1, 1), (1, 1)))
    return dx, *pull(dspread)


upsample_conv.defvjp(_upsample_forward, _upsample_backward)


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
    near = patches(g, (kh, kw), stride, pads)
    total = _summed_products(x, near)
    total = total.reshape(c, kh, kw, o)[:, ::-1, ::-1]
    dx = near @ turned(kernel).reshape(kh * kw * o, c)
    return dx, total.transpose(1, 2, 0, 3)


def _summed_products(a, b):
    """``[N, H, W, C]`` and ``[N, H, W, O]`` to ``[C, O]``: the sum over all pixels."""
    # As matrices: a sum over three axes at once makes XLA copy both in another order.
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())))


def patches(
    x: jax.Array, window: tuple[int, int], stride: int, pads: Pads
) -> jax.Array:
    """What each position of a window sees, side by side on the last axis.

    Args:
      x: ``[N, H, W, C]``.
      window: kh, kw.
      stride: pixels between two positions.
      pads: rows of zeros above and below, columns left and right.

    Returns:
      ``[N, H', W', kh kw C]``.
    """
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    kh, kw = window
    rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    # One axis after the other: as fast as both at once, and compiles sooner.
    x = [x[:, :, v : v + columns : stride] for v in range(kw)]
    x = jnp.concatenate(x, axis=-1)
    x = [x[:, u : u + rows : stride] for u in range(kh)]
    return jnp.concatenate(x, axis=-1)


# Winograd's F(2x2, 3x3): y = A' [(G k G') * (B' d B)] A for tiles d of 4x4 pixels, two
# apart, and y of 2x2, where * multiplies each of the 16 places as a matrix.
_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


@jax.custom_vjp
def _winograd(x: jax.Array, kernel: jax.Array) -> jax.Array:
    products = [d @ k for d, k in zip(_transform(x), _transform_kernel(kernel))]
    rows = [[_combine(row, products[j::4]) for j in range(4)] for row in _A]
    y = [jnp.stack([_combine(column, row) for column in _A], axis=3) for row in rows]
    y = jnp.stack(y, axis=2)
    n, h, _, w, _, o = y.shape
    return y.reshape(n, 2 * h, 2 * w, o)


def _winograd_forward(x, kernel):
    return _winograd(x, kernel), (x, kernel)


def _winograd_backward(residuals, g):
    x, kernel = residuals
    dx = _winograd(g, turned(kernel))
    # F(2, 3) along the rows only, with what three columns see side by side: products with
    # 3 O columns are so much faster than with O that more of them take less time.
    rows = _transform_rows(jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0))))
    near = patches(g, (1, 3), 1, ((0, 0), (1, 1)))
    near = [_combine(row, [near[:, 0::2], near[:, 1::2]]) for row in _A.T]
    products = [_summed_products(row, spread) for row, spread in zip(rows, near)]
    taps = jnp.stack(products).reshape(4, kernel.shape[2], 3, kernel.shape[3])
    gains = jnp.asarray(_G, g.dtype)
    dkernel = jnp.einsum("iu,icvo->uvco", gains, taps[:, :, ::-1], precision="highest")
    return dx, dkernel


_winograd.defvjp(_winograd_forward, _winograd_backward)


def _transform(x):
    """``B' d B`` of all tiles: 16 arrays ``[N, H / 2, W / 2, C]``."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [
        _combine(column, [row[:, :, j : j + x.shape[2] - 3 : 2] for j in range(4)])
        for row in _transform_rows(x)
        for column in _B
    ]


def _transform_rows(x):
    """``B' d`` of images with their zeros around: 4 arrays ``[N, H / 2, ...]``."""
    lines = [x[:, i : i + x.shape[1] - 3 : 2] for i in range(4)]
    return [_combine(row, lines) for row in _B]


def _transform_kernel(kernel):
    """``G k G'``: ``[16, C, O]``."""
    g = jnp.asarray(_G, kernel.dtype)
    taps = jnp.einsum("iu,jv,uvco->ijco", g, g, kernel, precision="highest")
    return taps.reshape(16, *kernel.shape[2:])


def _combine(factors, arrays):
    """The sum of arrays, each times 1, 0 or -1."""
    total = None
    for factor, array in zip(factors, arrays, strict=True):
        if factor:
            array = array if factor > 0 else -array
            total = array if total is None else total + array
    return total

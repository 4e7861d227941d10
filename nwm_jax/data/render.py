"""Pictures of coloured discs, the observations of every particle system.

The renderer of the Hamiltonian Dynamics Suite (arXiv:2111.05458): soft-edged discs
composited front to back on a flat background. Row i of an image is y = i / (R - 1) of
the canvas, so y grows downwards when row 0 is drawn at the top.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from nwm_jax.data.host import float64_on_cpu

BACKGROUND = (0.321, 0.349, 0.368)

# Frames drawn at once by `in_bytes`: what is between their states and their bytes stays
# in the processor's cache. Four times as many take two to three times as long per frame.
_FRAMES = 1024

# k / 255 is written k * HIGH + k * LOW, because XLA replaces the division by a product
# with the rounded reciprocal, which is one unit in the last place off for 126 of the
# 256 levels. HIGH has 12 bits: k * HIGH is exact, so one rounding remains, as in a
# division. (Verified for all 256 levels in tests/data/test_render.py.)
_HIGH = np.float32(np.floor(2.0**19 / 255) / 2.0**19)
_LOW = np.float32(1 / 255 - float(_HIGH))


def palette(num_colors: int) -> np.ndarray:
    """Colours of equal saturation and value: hue c / C of index c.

    Args:
      num_colors: C, how many hues the circle is divided into, at least 1.

    Returns:
      Red, green, blue in [0, 1], float64 `[C, 3]`; row 0 is red.
    """
    sector, rest = np.divmod(6.0 * np.arange(num_colors) / num_colors, 1.0)
    one, zero = np.ones_like(rest), np.zeros_like(rest)
    up, down = rest, 1.0 - rest
    sectors = np.array(
        [
            [one, up, zero],
            [down, one, zero],
            [zero, one, up],
            [zero, down, one],
            [up, zero, one],
            [one, zero, down],
        ]
    )  # [6, 3, C]
    return sectors[sector.astype(int) % 6, :, np.arange(num_colors)]


def render(
    positions: ArrayLike,
    radii: ArrayLike,
    color_indices: ArrayLike,
    *,
    canvas_min: float,
    canvas_max: float,
    num_colors: int,
    resolution: int = 32,
    temperature: float = 80.0,
    background: Sequence[float] = BACKGROUND,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Draws n discs per frame, disc 0 in front.

    Coverage of disc k at pixel (i, j), all lengths in units of the canvas width,

        m_k = sigmoid(-temperature (|(x_k, y_k) - (g_j, g_i)| - r_k)),
        g = linspace(0, 1, resolution),

    and the image is sum_k prod_{j<k}(1 - m_j) m_k colour_k + prod_j (1 - m_j) b
    (arXiv:2111.05458, the suite's renderer).

    Args:
      positions: centres (x, y) in world units, `[..., n, 2]`.
      radii: radii in world units; a scalar or any shape that broadcasts to `[..., n]`.
      color_indices: hue indices in [0, num_colors), broadcasting to `[..., n]`.
      canvas_min: world coordinate of the first row and column.
      canvas_max: world coordinate of the last row and column.
      num_colors: how many hues there are.
      resolution: R, pixels per side.
      temperature: sharpness of the edge, in 1 / canvas widths.
      background: red, green, blue of the background b, in [0, 1].
      dtype: float32, or float64 for exact agreement with the published generator
        (computed outside of `jit` this needs no `jax_enable_x64`).

    Returns:
      Images in [0, 1], `[..., R, R, 3]` of type `dtype`.
    """
    draw = functools.partial(
        _draw,
        canvas=(canvas_min, canvas_max),
        num_colors=num_colors,
        resolution=resolution,
        temperature=temperature,
        background=tuple(float(b) for b in background),
        dtype=jnp.dtype(dtype),
    )
    arrays = (positions, radii, color_indices)
    if any(isinstance(a, jax.core.Tracer) for a in arrays):
        return draw(*arrays)
    if jnp.dtype(dtype) == np.float64:
        with float64_on_cpu():
            return draw(*map(np.asarray, arrays))
    return draw(*arrays)


@functools.partial(
    jax.jit,
    static_argnames=("num_colors", "resolution", "background", "dtype"),
)
def _draw(
    positions,
    radii,
    color_indices,
    *,
    canvas,
    num_colors,
    resolution,
    temperature,
    background,
    dtype,
):
    low, width = canvas[0], canvas[1] - canvas[0]
    centres = (jnp.asarray(positions, dtype) - jnp.asarray(low, dtype)) / width
    centres = centres.astype(dtype)
    shape = centres.shape[:-1]
    radii = jnp.broadcast_to(jnp.asarray(radii, dtype) / width, shape).astype(dtype)
    colors = jnp.asarray(palette(num_colors), dtype)[jnp.asarray(color_indices)]
    colors = jnp.broadcast_to(colors, (*shape, 3))
    grid = jnp.asarray(np.linspace(0.0, 1.0, resolution), dtype)
    # Squared distances along x and y are small tables; only their sum is an image.
    along_x = jnp.square(centres[..., 0, None] - grid)  # [..., n, W]
    along_y = jnp.square(centres[..., 1, None] - grid)  # [..., n, H]
    image: jax.Array | float = 0.0
    behind: jax.Array | float = 1.0
    for k in range(shape[-1]):
        squared = along_y[..., k, :, None] + along_x[..., k, None, :]  # [..., H, W]
        distance = jnp.sqrt(squared) - radii[..., k, None, None]
        cover = jax.nn.sigmoid(-temperature * distance).astype(dtype)[..., None]
        image = image + behind * cover * colors[..., k, None, None, :]
        behind = behind * (1.0 - cover)
    return image + behind * jnp.asarray(background, dtype)


def to_uint8(image: ArrayLike) -> np.ndarray | jax.Array:
    """Bytes of an image as the published files hold them: 255 v, truncated.

    Args:
      image: values in [0, 1], any shape.

    Returns:
      uint8 of the same shape; NumPy in, NumPy out.
    """
    if isinstance(image, jax.Array):
        return (255 * image).astype(jnp.uint8)
    return (255 * np.asarray(image)).astype(np.uint8)


def in_bytes(
    draw: Callable[[Mapping[str, jax.Array]], np.ndarray | jax.Array],
    arrays: Mapping[str, np.ndarray],
    num_frames: int,
) -> Iterator[np.ndarray]:
    """Draws trajectories as the published files hold them, some at a time.

    One compiled program goes from states to bytes in float64. The blocks and their
    shape depend on `num_frames` alone, so that a trajectory comes out the same to the
    last bit wherever one begins.

    Args:
      draw: jittable and hashable, `draw(arrays)` returns images in [0, 1]
        `[n, T, H, W, C]`.
      arrays: what it draws, leading axis n each, real numbers in float64.
      num_frames: T.

    Yields:
      uint8 `[b, T, H, W, C]`, for trajectories 0 to b - 1, b to 2 b - 1, ... with
      b = `block_size(num_frames)`; the last block may be shorter.
    """
    block = block_size(num_frames)
    total = len(next(iter(arrays.values())))
    for start in range(0, total, block):
        rows = np.arange(start, min(start + block, total))
        padded = np.resize(rows, block)
        with float64_on_cpu():
            drawn = _draw_bytes(draw, {k: v[padded] for k, v in arrays.items()})
            drawn = np.asarray(drawn)
        yield drawn[: rows.size]


def block_size(num_frames: int) -> int:
    """How many trajectories of a length `in_bytes` draws at once."""
    return max(1, _FRAMES // num_frames)


@functools.partial(jax.jit, static_argnums=0)
def _draw_bytes(draw, arrays):
    return to_uint8(draw(arrays))


def from_uint8(levels: ArrayLike) -> jax.Array:
    """Brightness of stored levels: k / 255, correctly rounded in float32.

    Args:
      levels: k in {0, ..., 255}, any shape, any real type.

    Returns:
      float32 in {0, ..., 255} / 255, the shape of `levels`.
    """
    levels = jnp.asarray(levels).astype(jnp.float32)
    return levels * _HIGH + levels * _LOW


def quantise(image: ArrayLike) -> jax.Array:
    """What is left of an image after it was stored in bytes: floor(255 v) / 255.

    Args:
      image: values in [0, 1], any shape.

    Returns:
      float32 in {0, ..., 255} / 255, the shape of `image`.
    """
    return from_uint8(jnp.floor(255 * jnp.asarray(image)))

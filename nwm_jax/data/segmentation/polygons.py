"""Regular polygons, white on black: their class is the number of corners.

The original's polygons are not published; this is a protocol of our own after what is
known of them (arXiv:2502.06034: 32 x 32 pixels, one channel).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from nwm_jax.errors import UserError

NAMES = {
    3: "triangle",
    4: "square",
    5: "pentagon",
    6: "hexagon",
    7: "heptagon",
    8: "octagon",
}
SIDE, CORNERS, RADIUS = 32, (3, 4, 5, 6), (6.0, 12.0)
_MOST_CORNERS = 100  # classes are bytes, and more corners are circles
_MARGIN = 2.0
# A polygon that has found no place after so many attempts is left out.
_ATTEMPTS = 100


def inside(
    side: int, corners: int, radius: float, angle: float, center: tuple[float, float]
) -> np.ndarray:
    """Which pixels a regular polygon covers.

    Pixel (i, j) belongs to it if for k = 0, ..., n - 1
    ``(j - c_x) cos(phi_k) + (i - c_y) sin(phi_k) <= R cos(pi / n)`` with
    ``phi_k = angle + (2 k + 1) pi / n``.

    Args:
      side: pixels of the canvas along each axis.
      corners: n >= 3.
      radius: R, of the circle through the corners, in pixels.
      angle: of the first corner, in radians.
      center: (c_x, c_y), column and row.

    Returns:
      bool ``[side, side]``.
    """
    phi = angle + (2 * np.arange(corners) + 1) * np.pi / corners
    column = np.arange(side)[None, :, None] - center[0]
    row = np.arange(side)[:, None, None] - center[1]
    distance = column * np.cos(phi) + row * np.sin(phi)
    return (distance <= radius * np.cos(np.pi / corners)).all(axis=-1)


def draw(
    sizes: Mapping[str, int],
    *,
    side: int = SIDE,
    corners: Sequence[int] = CORNERS,
    most: int = 1,
    radius: tuple[float, float] = RADIUS,
    equal_area: bool = False,
    seed: int = 0,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draws all splits; image i of a split depends on (seed, split, i) alone.

    Args:
      sizes: images of every split.
      side: pixels of the canvas along each axis.
      corners: the polygons that there are; the class is the place in this, from 1.
      most: an image has 1 to `most` of them, whose circles do not meet; one that finds
        no place is left out.
      radius: R is uniform in this range, the center where the circle stays two pixels
        away from the border.
      equal_area: draw the area and choose R by it, so that size does not tell the class:
        uniform between that of the roundest polygon at the smallest R and that of the
        polygon with the fewest corners at the largest.
      seed: any integer >= 0.

    Returns:
      For every split images uint8 ``[N, side, side, 1]``, 0 or 255, and classes uint8
      ``[N, side, side]``.

    Raises:
      UserError: polygons that do not fit on the canvas, or are none.
    """
    check(side, corners, most, radius)
    drawn = {}
    for place, (split, size) in enumerate(sizes.items()):
        labels = np.zeros((size, side, side), np.uint8)
        for i, label in enumerate(labels):
            rng = np.random.default_rng([seed, place, i])
            _draw_one(rng, label, corners, most, radius, equal_area)
        drawn[split] = np.uint8(255) * (labels > 0)[..., None], labels
    return drawn


def check(
    side: int, corners: Sequence[int], most: int, radius: Sequence[float]
) -> None:
    """Checks what `draw` draws; arguments as there.

    Raises:
      UserError: polygons that do not fit on the canvas, or are none.
    """
    whole = all(isinstance(n, int) and 3 <= n <= _MOST_CORNERS for n in corners)
    if not corners or not whole or len(set(corners)) < len(corners):
        raise UserError(
            f"data.corners={tuple(corners)} must be different integers from 3 to "
            f"{_MOST_CORNERS}, such as (3,4)"
        )
    if len(radius) != 2 or not 0 < radius[0] <= radius[1] or most < 1:
        raise UserError(
            f"data.radius={tuple(radius)} must be two numbers above 0, the smallest and "
            f"the largest, and data.most={most} at least 1"
        )
    if 2 * (radius[1] + _MARGIN) > side - 1:
        raise UserError(
            f"polygons of data.radius={radius[1]:g} do not fit on {side} x {side} "
            "pixels: take a larger data.side or a smaller data.radius"
        )


def _draw_one(
    rng: np.random.Generator,
    labels: np.ndarray,
    corners: Sequence[int],
    most: int,
    radius: tuple[float, float],
    equal_area: bool,
) -> None:
    side = len(labels)
    circles: list[tuple[float, float, float]] = []
    for _ in range(rng.integers(1, most + 1)):
        index = int(rng.integers(len(corners)))
        n = corners[index]
        if equal_area:
            limits = (
                _area(max(corners)) * radius[0] ** 2,
                _area(min(corners)) * radius[1] ** 2,
            )
            size = np.sqrt(rng.uniform(min(limits), max(limits)) / _area(n))
        else:
            size = rng.uniform(*radius)
        angle = rng.uniform(0, 2 * np.pi)
        free = size + _MARGIN, side - 1 - size - _MARGIN
        for _ in range(_ATTEMPTS):
            x, y = rng.uniform(*free, size=2)
            if all(np.hypot(x - a, y - b) > size + r for a, b, r in circles):
                labels[inside(side, n, size, angle, (x, y))] = index + 1
                circles.append((x, y, size))
                break


def _area(corners: int) -> float:
    """The area of a polygon of radius 1."""
    return corners / 2 * np.sin(2 * np.pi / corners)

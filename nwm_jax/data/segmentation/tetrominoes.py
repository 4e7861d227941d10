"""Textured tetrominoes on a black canvas, drawn as the original program draws them.

One legacy NumPy generator makes training, validation and test images one after the
other; with the default numbers all of them are the published ones to the last bit
(arXiv:2502.06034).
"""

from collections.abc import Callable, Mapping

import numpy as np

from nwm_jax.errors import UserError

NAMES = ("background", "I", "O", "T", "S/Z", "J/L")
SIDE, CELL, SEED = 64, 7, 42
MOST = 5

_PIECES = tuple(
    np.array(rows, np.uint8)
    for rows in (
        [[1, 1, 1, 1]],
        [[1, 1], [1, 1]],
        [[0, 1, 0], [1, 1, 1]],
        [[0, 1, 1], [1, 1, 0]],
        [[1, 0, 0], [1, 1, 1]],
    )
)
# S/Z and J/L have mirror images of another shape.
_CHIRAL = (3, 4)


def draw(
    sizes: Mapping[str, int],
    *,
    side: int = SIDE,
    cell: int = CELL,
    seed: int = SEED,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draws all splits, in their order.

    Every image has 1 to 5 pieces that do not touch each other's bounding boxes, of a
    random colour and turned by quarters; the edge of every cell is lighter by half of
    the colour, where 255 is followed by 0.

    Args:
      sizes: images of every split.
      side: pixels of the canvas along each axis.
      cell: pixels of a cell along each axis.
      seed: of the generator, which all splits share.
      progress: called as progress(done, total), in images.

    Returns:
      For every split images uint8 ``[N, side, side, 3]`` and classes uint8
      ``[N, side, side]``.

    Raises:
      UserError: a canvas on which five pieces may find no place.
    """
    check(side, cell)
    rng = np.random.RandomState(seed)
    done, total = 0, sum(sizes.values())
    drawn = {}
    for split, size in sizes.items():
        images = np.zeros((size, side, side, 3), np.uint8)
        labels = np.zeros((size, side, side), np.uint8)
        for image, label in zip(images, labels, strict=False):
            _draw_one(rng, image, label, cell)
            done += 1
            if progress is not None and done % 100 == 0:
                progress(done, total)
        drawn[split] = images, labels
    return drawn


def check(side: int, cell: int) -> None:
    """Checks what `draw` draws; arguments as there.

    Raises:
      UserError: a canvas on which five pieces may find no place.
    """
    if side < 9 * cell:
        raise UserError(
            f"five tetrominoes of data.cell={cell} pixels a cell need a canvas of at "
            f"least {9 * cell} pixels, not data.side={side}"
        )


def _draw_one(
    rng: np.random.RandomState, image: np.ndarray, labels: np.ndarray, cell: int
) -> None:
    side = len(labels)
    count = rng.randint(1, MOST + 1)
    order = list(range(len(_PIECES))) * (count // len(_PIECES) + 1)
    rng.shuffle(order)
    for piece in order[:count]:
        cells = np.rot90(_PIECES[piece], rng.choice(4))
        if piece in _CHIRAL and rng.rand() < 0.5:
            cells = np.fliplr(cells)
        mask = np.kron(cells, np.ones((cell, cell), np.uint8)).astype(bool)
        color = rng.randint(0, 256, size=3, dtype=np.uint8)
        rows, columns = mask.shape
        while True:
            row, column = rng.randint(0, side - rows), rng.randint(0, side - columns)
            box = np.s_[row : row + rows, column : column + columns]
            if not labels[box].any():
                break
        labels[box][mask] = piece + 1
        image[box][mask] = color
        image[box][mask & _edges(rows, columns, cell)] += color // 2


def _edges(rows: int, columns: int, cell: int) -> np.ndarray:
    """Where pixels are on the edge of their cell."""
    row, column = np.arange(rows)[:, None] % cell, np.arange(columns) % cell
    return (row % (cell - 1) == 0) | (column % (cell - 1) == 0)

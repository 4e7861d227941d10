"""One to four digits of MNIST on a large canvas, drawn as the original program does.

Python's own generator places them; with the default numbers all images are the published
ones to the last bit (arXiv:2502.06034). All splits are made of MNIST's training images,
so that the same digit may be in several.
"""

import random
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from nwm_jax.errors import UserError

SIDE, DIGIT, SEED = 128, 42, 50
MOST = 4
_THRESHOLD = 50
_ATTEMPTS = 200


def draw(
    digits: np.ndarray,
    classes: np.ndarray,
    sizes: Mapping[str, int],
    *,
    side: int = SIDE,
    seed: int = SEED,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draws all splits, in their order.

    Args:
      digits: MNIST's training images, uint8 ``[N, 28, 28]``.
      classes: their digits 0-9, ``[N]``.
      sizes: images of every split.
      side: pixels of the canvas along each axis; a digit has 42.
      seed: of the generator, which all splits share.
      progress: called as progress(done, total), in images.

    Returns:
      For every split images uint8 ``[N, side, side, 1]``, 0 or 255, and classes uint8
      ``[N, side, side]``: 0 or the digit plus one. A digit that finds no place in 200
      attempts is left out, which on the published canvas never happens.

    Raises:
      UserError: a canvas smaller than a digit.
    """
    check(side)
    rng = random.Random(seed)
    done, total = 0, sum(sizes.values())
    drawn = {}
    for split, size in sizes.items():
        labels = np.zeros((size, side, side), np.uint8)
        for label in labels:
            _draw_one(rng, label, digits, classes)
            done += 1
            if progress is not None and done % 100 == 0:
                progress(done, total)
        # Every pixel of a digit is white.
        drawn[split] = np.uint8(255) * (labels > 0)[..., None], labels
    return drawn


def check(side: int) -> None:
    """Checks the canvas of `draw`.

    Raises:
      UserError: it is smaller than a digit.
    """
    if side < DIGIT:
        raise UserError(f"data.side={side} must be at least {DIGIT}, a digit's side")


def _draw_one(
    rng: random.Random, labels: np.ndarray, digits: np.ndarray, classes: np.ndarray
) -> None:
    free = len(labels) - DIGIT
    for _ in range(rng.randint(1, MOST)):
        index = rng.randint(0, len(digits) - 1)
        image = Image.fromarray(digits[index])
        image = image.resize((DIGIT, DIGIT), Image.Resampling.BILINEAR)
        on = np.asarray(image) > _THRESHOLD
        for _ in range(_ATTEMPTS):
            x, y = rng.randint(0, free), rng.randint(0, free)
            box = labels[y : y + DIGIT, x : x + DIGIT]
            if not box[on].any():
                box[on] = classes[index] + 1
                break

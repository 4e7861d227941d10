"""Turning images on the device, as the rotating-MNIST sequences are made."""

import jax
import jax.numpy as jnp
import numpy as np

#: Degrees between two frames, and frames of a full turn.
STEP, PERIOD = 20.0, 18


def rotate(images: jax.Array, degrees: np.ndarray) -> jax.Array:
    """Turns every image by every angle, counter-clockwise as displayed.

    The value at (x, y), column and row, is the bilinear interpolation of the image at

        ( cos t (x - c) - sin t (y - c') + c,  sin t (x - c) + cos t (y - c') + c' ),

    with zeros outside of the image, each corner by itself. The centre is
    c = W / 2, c' = H / 2 in pixel indices: half a pixel beside the middle, as in the
    program of the sequences.

    Args:
      images: ``[n, H, W]``, any unit, row 0 at the top.
      degrees: the angles, ``[T]``; known while compiling.

    Returns:
      ``[n, T, H, W]`` float32.

    Source: the data of Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202),
    made as in Keller & Welling, "Topographic VAEs", arXiv:2109.01394.
    """
    height, width = images.shape[1:]
    index, weight = _corners(height, width, np.asarray(degrees, np.float64))
    # Images last: then a gather moves whole rows of memory.
    flat = images.reshape(len(images), -1).T.astype(jnp.float32)
    turned = sum(
        flat[corner] * part[:, None]
        for corner, part in zip(index, jnp.asarray(weight), strict=False)
    )
    return turned.T.reshape(len(images), len(degrees), height, width)


def turns(num_frames: int, start: float = 0.0) -> np.ndarray:
    """The angles of a sequence: `start`, and 20 degrees more with every frame."""
    return start + STEP * np.arange(num_frames)


def _corners(
    height: int, width: int, degrees: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The four pixels of every interpolation and their weights, ``[4, T H W]``."""
    turn = np.deg2rad(degrees)[:, None, None]
    rows, columns = np.mgrid[:height, :width]
    down, right = rows - height / 2, columns - width / 2
    x = np.cos(turn) * right - np.sin(turn) * down + width / 2
    y = np.sin(turn) * right + np.cos(turn) * down + height / 2
    left, top = np.floor(x), np.floor(y)
    index, weight = [], []
    for i in (0, 1):
        for j in (0, 1):
            row, column = top + i, left + j
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            part = (1 - np.abs(y - row)) * (1 - np.abs(x - column))
            index.append(np.where(inside, row * width + column, 0).ravel())
            weight.append(np.where(inside, part, 0).ravel())
    return np.array(index, np.int32), np.array(weight, np.float32)


def shuffled_split(
    seed: int, size: int, num_valid: int
) -> tuple[np.ndarray, np.ndarray]:
    """The split of the original program: a shuffle by NumPy's legacy generator.

    Args:
      seed: of `numpy.random.RandomState`; 1 is the original's.
      size: how many images there are.
      num_valid: how many of them, the first after the shuffle, are set aside.

    Returns:
      Indices to train on and to validate with, in the order of the shuffle.
    """
    order = np.arange(size)
    np.random.RandomState(seed).shuffle(order)
    return order[num_valid:], order[:num_valid]

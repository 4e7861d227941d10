"""Labelled images, and how they become sequences: scanned, permuted, padded with noise."""

import hashlib
from typing import NamedTuple

import numpy as np

from nwm_jax.data.sequences import draws
from nwm_jax.errors import UserError

# The psMNIST order that the coRNN's program draws (seed 12008), as little-endian int64.
PERMUTATION_SEED = 12008
PERMUTATION_SHA256 = "f4113bc8ae78902146fba54feaff34c7de185249d3b85ce9584e3d76ca98b3bd"


class LabelledImages(NamedTuple):
    """Images and their classes, for training and for the test.

    Images are ``[N, H, W]`` (grey) or ``[N, H, W, 3]``, numbers 0-255; classes are 0-9,
    ``[N]``.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def pool(images: np.ndarray, factor: int) -> np.ndarray:
    """Shrinks images by the means of squares of `factor` x `factor` pixels.

    Args:
      images: ``[N, H, W, ...]``.
      factor: >= 1, divides H and W.

    Returns:
      ``[N, H / factor, W / factor, ...]`` in float32; `images` itself for a factor 1.

    Raises:
      UserError: the factor does not divide the sides.
    """
    if factor == 1:
        return images
    num, height, width = images.shape[:3]
    if factor < 1 or height % factor or width % factor:
        raise UserError(
            f"data.pool={factor} does not divide images of {height} x {width} pixels"
        )
    squares = (num, height // factor, factor, width // factor, factor)
    blocks = images.reshape(*squares, *images.shape[3:])
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def scan(images: np.ndarray) -> np.ndarray:
    """Reads images as sequences, ``[N, T, F]``.

    Grey images are read pixel after pixel, row by row: ``[N, H, W] -> [N, H W, 1]``.
    Colour images are read row after row, the channels of a row one after the other
    (R, G, B): ``[N, H, W, 3] -> [N, H, 3 W]``.
    """
    num, height = images.shape[:2]
    if images.ndim == 3:
        return images.reshape(num, -1, 1)
    return np.swapaxes(images, 2, 3).reshape(num, height, -1)


def permutation(size: int = 784, seed: int | None = None) -> np.ndarray:
    """PyTorch's `randperm`, made again from the raw numbers of the Mersenne Twister.

    Without a seed that of the coRNN's program: the fixed order of permuted sequential
    MNIST, where new step i reads old step perm[i].

    Args:
      size: how many; 784 is the published order of pixels.
      seed: of the generator; None: the published one.

    Returns:
      int64 ``[size]``.

    Raises:
      RuntimeError: 784 numbers that are not the published ones.
    """
    twister = np.random.RandomState(PERMUTATION_SEED if seed is None else seed)
    raw = twister.randint(0, 2**32, size - 1, dtype=np.uint32)
    order = np.arange(size)
    for i, number in enumerate(raw):
        j = i + int(number) % (size - i)
        order[[i, j]] = order[[j, i]]
    digest = hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()
    if size == 784 and seed is None and digest != PERMUTATION_SHA256:
        raise RuntimeError(
            f"the permutation of psMNIST has SHA-256 {digest}, not the published one"
        )
    return order


def noise(seed: int, steps: int, features: int) -> np.ndarray:
    """The standard normal noise after every image, the same for all of them.

    Returns:
      float32 ``[steps, features]``.
    """
    rng = draws.generator(seed, draws.NOISE)
    return rng.standard_normal((steps, features), np.float32)


def split(
    seed: int, size: int, num_valid: int, num_train: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Divides the training images at random into those to learn from and to validate.

    Args:
      seed: any integer.
      size: how many images there are.
      num_valid: how many to validate.
      num_train: how many to learn from; 0: all others.

    Returns:
      Sorted indices of both, int64 ``[num_train]`` and ``[num_valid]``.

    Raises:
      UserError: there are not as many images, or none would be left to learn from.
    """
    least = num_valid + max(num_train, 1)
    if min(num_valid, num_train) < 0 or least > size:
        raise UserError(
            f"data.num_valid={num_valid} and data.num_train={num_train} do not fit "
            f"into {size} training images"
        )
    order = draws.generator(seed, draws.SPLIT).permutation(size)
    end = num_valid + num_train if num_train else size
    return np.sort(order[num_valid:end]), np.sort(order[:num_valid])


def choose(seed: int, size: int, num: int) -> np.ndarray:
    """Sorted indices of `num` images of the test at random; all of them for 0.

    Raises:
      UserError: there are not as many.
    """
    if not 0 <= num <= size:
        raise UserError(f"data.num_test={num} must be 0 (all) to {size}")
    order = draws.generator(seed, draws.TEST).permutation(size)
    return np.sort(order[: num or size])

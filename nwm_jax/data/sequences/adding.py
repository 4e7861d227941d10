"""The adding task: the sum of the two numbers that are marked in a long sequence.

Input 0 is uniform in [0, 1); input 1 is zero except for a one in each half of the
sequence. A constant prediction of 1 has a mean squared error of 1/6 (arXiv:1504.00941).
"""

import numpy as np

from nwm_jax.data.sequences import draws


def sequences(
    rng: np.random.Generator, num: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws sequences and their sums.

    Args:
      rng: a random generator.
      num: n, how many.
      length: T >= 2; the halves are [0, T // 2) and [T // 2, T).

    Returns:
      Inputs ``[n, T, 2]`` and sums ``[n, 1]``, float32.
    """
    inputs = np.zeros((num, length, 2), np.float32)
    inputs[..., 0] = rng.random((num, length), np.float32)
    rows = np.arange(num)
    for low, high in ((0, length // 2), (length // 2, length)):
        inputs[rows, rng.integers(low, high, num), 1] = 1.0
    return inputs, np.prod(inputs, axis=-1).sum(axis=1, keepdims=True)


def train_batch(
    seed: int, step: int, batch_size: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The training batch of a step, new in every step; returns as `sequences`."""
    return sequences(draws.generator(seed, draws.ADDING, step), batch_size, length)


def eval_set(seed: int, num: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """A fixed evaluation set of `num` sequences; returns as `sequences`."""
    return sequences(draws.generator(seed, draws.ADDING_EVAL), num, length)

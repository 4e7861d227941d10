"""Which windows of which trajectories a step sees: pure functions of (seed, step)."""

import functools
from collections.abc import Mapping
from typing import NotRequired, TypedDict

import jax
import numpy as np

from nwm_jax.errors import UserError

# Streams of random numbers: never renumber, or every seeded run changes.
_ORDER, _TRAIN_STARTS, _EVAL_STARTS, _EVAL_ORDER = range(4)

#: Trajectories of the validation split where nothing else is asked for.
NUM_VALID = 512

#: What a source reads, on the host or on the device.
Batch = Mapping[str, np.ndarray | jax.Array]


class Decoded(TypedDict):
    """What a source makes of a batch."""

    images: jax.Array
    states: NotRequired[np.ndarray | jax.Array]


def train_windows(
    seed: int,
    step: int,
    rows: slice | np.ndarray,
    *,
    batch_size: int,
    num_trajectories: int,
    num_frames: int,
    length: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Trajectories and first frames of the training batch of one step.

    Every trajectory comes once per epoch, in an order drawn anew for each epoch; a
    batch may straddle two. First frames are uniform in [0, num_frames - length].

    Args:
      seed: any integer.
      step: number of the step, from 0.
      rows: which rows of the batch are wanted, a slice or indices in [0, batch_size).
      batch_size: size of the whole batch.
      num_trajectories: size of the training set.
      num_frames: frames per trajectory.
      length: frames per window.

    Returns:
      Indices of the trajectories and first frames, int64 `[len(rows)]` each: exactly
      the rows `rows` of the whole batch's.

    Raises:
      UserError: `length` is longer than the trajectories.
    """
    check_length(length, num_frames)
    indices = train_indices(
        seed, step, rows, batch_size=batch_size, size=num_trajectories
    )
    starts = _generator(seed, _TRAIN_STARTS, step).integers(
        num_frames - length + 1, size=batch_size
    )
    return indices, starts[np.arange(batch_size)[rows]]


def train_indices(
    seed: int, step: int, rows: slice | np.ndarray, *, batch_size: int, size: int
) -> np.ndarray:
    """Examples of the training batch of one step; every one comes once per epoch.

    Args:
      seed: any integer.
      step: number of the step, from 0.
      rows: as for `train_windows`.
      batch_size: size of the whole batch; a batch may straddle two epochs.
      size: of the training set.

    Returns:
      int64 `[len(rows)]`.
    """
    position = int(step) * batch_size + np.arange(batch_size)[rows]
    return _in_order(seed, _ORDER, position, size)


def eval_windows(
    seed: int,
    num_windows: int,
    *,
    num_trajectories: int,
    num_frames: int,
    length: int,
) -> tuple[np.ndarray, np.ndarray]:
    """A fixed, seeded set of windows, spread over as many trajectories as there are.

    Args:
      seed: any integer.
      num_windows: how many.
      num_trajectories: size of the split; no trajectory comes twice before all have
        come once.
      num_frames: frames per trajectory.
      length: frames per window.

    Returns:
      Indices of the trajectories and first frames, int64 `[num_windows]` each.

    Raises:
      UserError: `length` is longer than the trajectories.
    """
    check_length(length, num_frames)
    position = np.arange(num_windows)
    indices = _in_order(seed, _EVAL_ORDER, position, num_trajectories)
    starts = _generator(seed, _EVAL_STARTS).integers(
        num_frames - length + 1, size=num_windows
    )
    return indices, starts


def num_held_out(num_train: int, num_valid: int = NUM_VALID) -> int:
    """How many trajectories of files are taken from the training split for validation.

    They are its last ones: `num_valid` or a tenth, whichever is less, at least one.

    Args:
      num_train: size of the training split of the files, at least 1.
      num_valid: how many at most.

    Returns:
      The number; 0 of a single trajectory, which then serves for both.
    """
    return min(num_valid, max(1, num_train // 10), num_train - 1)


def check_length(length: int, num_frames: int) -> None:
    """Raises a UserError unless windows of `length` fit into `num_frames` frames."""
    if not 1 <= length <= num_frames:
        raise UserError(
            f"windows of {length} frames do not fit into trajectories of {num_frames} "
            "frames: observe or forecast fewer, or use longer trajectories"
        )


def _in_order(seed: int, stream: int, position: np.ndarray, size: int) -> np.ndarray:
    """Entries `position` of the endless sequence of permutations of range(size)."""
    epochs, places = np.divmod(position, size)
    indices = np.empty(len(position), np.int64)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        indices[chosen] = _permutation(seed, stream, int(epoch), size)[places[chosen]]
    return indices


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, stream: int, epoch: int, size: int) -> np.ndarray:
    return _generator(seed, stream, epoch).permutation(size)


def _generator(seed: int, *stream: int) -> np.random.Generator:
    # PCG64 by name, not `default_rng`: NumPy may change what the default is.
    return np.random.Generator(np.random.PCG64([int(seed) % 2**64, *map(int, stream)]))

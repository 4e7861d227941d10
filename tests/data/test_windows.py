"""Windows of training and evaluation: pure, complete, fair."""

import numpy as np
import pytest
from scipy import stats

from nwm_jax.data import eval_windows, train_windows
from nwm_jax.errors import UserError

SIZES = {"num_trajectories": 10, "num_frames": 64, "length": 60}


def _steps(seed, steps, batch_size=4, **sizes):
    sizes = {**SIZES, **sizes}
    batches = [
        train_windows(seed, k, slice(None), batch_size=batch_size, **sizes)
        for k in range(steps)
    ]
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


def test_pure_in_seed_and_step():
    first = train_windows(3, 12345, slice(None), batch_size=8, **SIZES)
    train_windows(4, 1, slice(None), batch_size=8, **SIZES)
    again = train_windows(3, 12345, slice(None), batch_size=8, **SIZES)
    np.testing.assert_array_equal(first, again)
    other = train_windows(5, 12345, slice(None), batch_size=8, **SIZES)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "rows", [slice(0, 8), slice(2, 5), slice(6, None), np.array([7, 0, 3])]
)
def test_rows_are_a_part_of_the_whole_batch(rows):
    for step in range(4):
        whole = train_windows(0, step, slice(None), batch_size=8, **SIZES)
        part = train_windows(0, step, rows, batch_size=8, **SIZES)
        for a, b in zip(whole, part, strict=True):
            np.testing.assert_array_equal(a[rows], b)


@pytest.mark.parametrize("batch_size", [1, 4, 25])
def test_every_trajectory_once_per_epoch(batch_size):
    indices, _ = _steps(0, 100, batch_size)
    epochs = indices[: len(indices) // 10 * 10].reshape(-1, 10)
    np.testing.assert_array_equal(
        np.sort(epochs), np.broadcast_to(np.arange(10), epochs.shape)
    )
    assert len(np.unique(epochs, axis=0)) > 0.9 * len(epochs)  # a new order each time


def test_starts_are_uniform_and_fit():
    _, starts = _steps(0, 1000)
    assert starts.min() == 0 and starts.max() == 4  # both ends are reached
    assert stats.chisquare(np.bincount(starts)).pvalue > 1e-3
    _, starts = _steps(0, 10, length=64)
    assert (starts == 0).all()


def test_eval_windows_are_fixed_and_spread():
    first = eval_windows(0, 8, **SIZES)
    np.testing.assert_array_equal(first, eval_windows(0, 8, **SIZES))
    assert len(np.unique(first[0])) == 8
    indices, starts = eval_windows(1, 25, **SIZES)
    assert np.bincount(indices, minlength=10).max() == 3
    assert starts.min() >= 0 and starts.max() <= 4
    assert indices.dtype == starts.dtype == np.int64


@pytest.mark.parametrize("length", [0, 65])
def test_windows_that_do_not_fit(length):
    sizes = {**SIZES, "length": length}
    with pytest.raises(UserError, match="do not fit into trajectories of 64 frames"):
        train_windows(0, 0, slice(None), batch_size=4, **sizes)
    with pytest.raises(UserError, match="do not fit"):
        eval_windows(0, 4, **sizes)


def test_seeded_numbers_are_what_they_were():
    indices, starts = train_windows(0, 7, slice(None), batch_size=6, **SIZES)
    np.testing.assert_array_equal(indices, [8, 3, 9, 0, 6, 7])
    np.testing.assert_array_equal(starts, [3, 2, 2, 2, 4, 4])
    indices, starts = eval_windows(0, 6, **SIZES)
    np.testing.assert_array_equal(indices, [2, 7, 8, 3, 4, 9])
    np.testing.assert_array_equal(starts, [4, 0, 1, 2, 1, 3])

"""The two synthetic memory tasks: their layouts, targets and random draws."""

import numpy as np
import pytest

from nwm_jax.data.sequences import adding, copy_memory, draws
from nwm_jax.errors import UserError

SYMBOLS = np.array([[5, 8, 6, 1, 4, 4, 4, 8, 2, 4]])


def test_layout_of_the_program():
    inputs, targets = copy_memory.lay_out(SYMBOLS, 20, "code")
    assert inputs[0].tolist() == [*SYMBOLS[0], *[0] * 9, 9, *[0] * 10]
    assert targets[0].tolist() == [*[0] * 20, *SYMBOLS[0]]
    assert copy_memory.length(20, "code") == 30
    assert copy_memory.delay(20, "code") == 20
    # The delimiter overwrites the last symbol, and is what must be recalled.
    inputs, targets = copy_memory.lay_out(SYMBOLS, 10, "code")
    assert inputs[0].tolist() == [5, 8, 6, 1, 4, 4, 4, 8, 2, 9, *[0] * 10]
    assert targets[0].tolist() == [*[0] * 10, 5, 8, 6, 1, 4, 4, 4, 8, 2, 9]


@pytest.mark.parametrize("blanks", [0, 3])
def test_layout_of_the_paper(blanks):
    inputs, targets = copy_memory.lay_out(SYMBOLS, blanks)
    assert inputs[0].tolist() == [*SYMBOLS[0], *[0] * blanks, 9, *[0] * 9]
    assert targets[0].tolist() == [*[0] * (10 + blanks), *SYMBOLS[0]]
    assert inputs.shape == (1, copy_memory.length(blanks)) == (1, blanks + 20)
    assert copy_memory.delay(blanks) == blanks + 10


def test_impossible_layouts_are_refused():
    with pytest.raises(UserError, match="T=9 is too short for layout 'code': take 10"):
        copy_memory.lay_out(SYMBOLS, 9, "code")
    with pytest.raises(UserError, match="take 0 or more"):
        copy_memory.length(-1)
    with pytest.raises(UserError, match="'papers'"):
        copy_memory.length(3, "papers")


def test_symbols_are_uniform_and_reproducible():
    symbols = copy_memory.train_symbols(0, 5, 4000)
    counts = np.bincount(symbols.ravel(), minlength=10)
    assert counts[0] == counts[9] == 0
    np.testing.assert_allclose(counts[1:9] / 40_000, 1 / 8, rtol=0.05)
    np.testing.assert_array_equal(symbols, copy_memory.train_symbols(0, 5, 4000))
    for other in (
        copy_memory.train_symbols(0, 6, 4000),
        copy_memory.train_symbols(1, 5, 4000),
        copy_memory.eval_symbols(0, 4000),
    ):
        assert (symbols != other).any()


@pytest.mark.parametrize("length", [2, 9, 100])
def test_adding_marks_one_number_in_each_half(length):
    rng = draws.generator(0, draws.ADDING, 0)
    inputs, sums = adding.sequences(rng, 500, length)
    values, marks = inputs[..., 0], inputs[..., 1]
    assert values.min() >= 0 and values.max() < 1
    half = length // 2
    np.testing.assert_array_equal(marks[:, :half].sum(axis=1), np.ones(500))
    np.testing.assert_array_equal(marks[:, half:].sum(axis=1), np.ones(500))
    assert set(np.unique(marks)) <= {0.0, 1.0}
    np.testing.assert_allclose(sums[:, 0], (values * marks).sum(axis=1), rtol=1e-6)


def test_statistics_and_seeds_of_adding():
    inputs, sums = adding.eval_set(0, 20_000, 10)
    np.testing.assert_allclose(sums.mean(), 1.0, atol=0.01)
    # The error of a constant prediction of 1.
    np.testing.assert_allclose(np.mean((sums - 1) ** 2), 1 / 6, rtol=0.02)
    assert set(np.flatnonzero(inputs[..., 1].any(axis=0))) == set(range(10))
    first, again = (adding.train_batch(3, 7, 4, 10) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != adding.train_batch(3, 8, 4, 10)[0]).any()
    assert (first[0] != adding.train_batch(4, 7, 4, 10)[0]).any()

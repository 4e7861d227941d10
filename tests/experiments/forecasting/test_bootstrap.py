"""The interval of the log ratio of two models: known truths, and how often it covers."""

import math

import numpy as np
import pytest

from nwm_jax.experiments.forecasting import bootstrap


def draw(generator, seeds, truth, *, by_seed, windows=128):
    """Errors of two models on the same windows, the first exp(truth) times worse."""
    shared = generator.normal(0, 1, windows)

    def model(mean):
        offset = generator.normal(0, by_seed, (seeds, 1))
        return np.exp(mean + offset + shared + generator.normal(0, 0.5, (1, windows)))

    return model(truth), model(0.0)


def test_a_known_ratio():
    errors = np.random.default_rng(0).lognormal(0, 1, (3, 100))
    result = bootstrap.log_ratio(2 * errors, errors)
    assert result.estimate == pytest.approx(math.log(2))
    assert result.low < math.log(2) < result.high
    # Windows and seeds vary alike in both models: only the choice of seeds differs.
    one = bootstrap.log_ratio(2 * errors[:1], errors[:1])
    assert one.low == pytest.approx(math.log(2)) == one.high


def test_the_interval_grows_with_what_varies():
    def width(seeds, by_seed):
        generator = np.random.default_rng(1)
        errors = draw(generator, seeds, 0.0, by_seed=by_seed, windows=256)
        result = bootstrap.log_ratio(*errors, draws=1000)
        return result.high - result.low

    assert width(3, 0.5) > 2 * width(3, 0.01)
    assert width(3, 0.5) > 1.5 * width(24, 0.5)


@pytest.mark.parametrize("truth", [0.0, 0.7])
def test_coverage(truth):
    """The null, and a difference: about as often as the docstring says."""
    generator = np.random.default_rng(2)
    covered = above = 0
    for _ in range(200):
        pair = draw(generator, 3, truth, by_seed=0.1)
        result = bootstrap.log_ratio(*pair, draws=300)
        covered += result.low <= truth <= result.high
        above += result.low > 0
    assert 0.85 * 200 <= covered
    if truth:
        assert above > 190  # and it is narrow enough to see a factor of 2


def test_the_same_seed_returns_the_same_interval():
    pair = draw(np.random.default_rng(3), 3, 0.0, by_seed=0.2)
    assert bootstrap.log_ratio(*pair) == bootstrap.log_ratio(*pair)
    assert bootstrap.log_ratio(*pair) != bootstrap.log_ratio(*pair, seed=1)


def test_windows_that_do_not_count():
    first, second = draw(np.random.default_rng(4), 3, 0.0, by_seed=0.2)
    holed = np.concatenate([first, np.full((3, 1), np.nan)], axis=1)
    other = np.concatenate([second, np.ones((3, 1))], axis=1)
    assert bootstrap.log_ratio(holed, other) == bootstrap.log_ratio(first, second)
    assert math.isnan(bootstrap.log_ratio(first * np.nan, second).estimate)
    with pytest.raises(ValueError, match=r"\(3, 128\) and \(3, 129\)"):
        bootstrap.log_ratio(first, other)

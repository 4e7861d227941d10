import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError


def test_the_strongest_answer_of_each_cell():
    responses = np.array([[[1.0, -9], [0, np.nan]], [[3, 2], [0, np.nan]]])
    best, value = waves.maximum_activating(responses)
    np.testing.assert_array_equal(best, [[1, 1], [0, -1]])
    np.testing.assert_array_equal(value, [[3, 2], [0, np.nan]])
    best, value = waves.maximum_activating(responses, absolute=True)
    np.testing.assert_array_equal(best, [[1, 0], [0, -1]])
    np.testing.assert_array_equal(value, [[3, -9], [0, np.nan]])


def test_a_missing_answer_is_not_the_strongest():
    best, value = waves.maximum_activating(np.array([[np.nan], [-2.0], [-3.0]]))
    assert best == 1 and value == -2


def test_time_of_maximum_is_the_step_in_the_period():
    step = np.random.default_rng(0).integers(0, 6, (4, 5))
    t = np.arange(20)[:, None, None]  # three periods and two frames
    field = np.cos(2 * np.pi * (t - step) / 6)
    np.testing.assert_array_equal(waves.time_of_maximum(field, 6), step)
    # The first period is left out; most sequences decide.
    spoilt = field.copy()
    spoilt[0] = 9
    other = np.cos(2 * np.pi * (t - step - 1) / 6)
    both = np.stack([spoilt, field, other])
    np.testing.assert_array_equal(waves.time_of_maximum(both, 6), step)
    np.testing.assert_array_equal(waves.time_of_maximum(field[:6], 6), step)


def test_mistakes_are_named():
    for call, words in [
        (lambda: waves.maximum_activating(np.ones((0, 3))), r"\[n, ...\]"),
        (lambda: waves.maximum_activating(np.ones(3, complex)), "complex"),
        (lambda: waves.time_of_maximum(np.ones((5, 3, 3)), 6), "one period"),
        (lambda: waves.time_of_maximum(np.ones((5, 3)), 2), "one period"),
    ]:
        with pytest.raises(UserError, match=words):
            call()

"""Power on the line of a travelling wave."""

import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.waves import line

STEP, PLACE = np.arange(64)[:, None], np.arange(32)


def test_a_pulse_that_goes_round_has_its_power_at_32_points():
    pulse = np.zeros((64, 32))
    pulse[np.arange(64), -np.arange(64) % 32] = 1.0
    result = line.power(pulse)
    expected = np.zeros((64, 32))
    expected[2 * PLACE % 64, PLACE] = 64.0**2
    np.testing.assert_allclose(result, expected, atol=1e-9)
    np.testing.assert_allclose(line.fraction(pulse), 1.0)
    np.testing.assert_allclose(line.fraction(pulse, -1.0), 0.0, atol=1e-12)


@pytest.mark.parametrize(("speed", "places"), [(1, (3, 29)), (-1, (29, 3))])
def test_a_cosine_has_its_power_at_two_points(speed, places):
    cosine = np.cos(2 * np.pi * 3 * (PLACE + speed * STEP) / 32)
    expected = np.zeros((64, 32))
    expected[[6, 58], places] = 1024.0**2
    np.testing.assert_allclose(line.power(cosine), expected, atol=1e-6)
    np.testing.assert_allclose(line.fraction(cosine, float(speed)), 1.0)


def test_what_shuffles_leave():
    noise = np.random.default_rng(0).standard_normal((20, 12))
    in_time = line.over_shuffled(noise, "time", num_shuffles=1)
    np.testing.assert_allclose(in_time[0], 1.0, rtol=1e-12)
    assert np.abs(in_time[1:] - 1).min() > 1e-6
    both = line.over_shuffled(noise, "both", num_shuffles=1)
    np.testing.assert_allclose(both[0, 0], 1.0, rtol=1e-12)
    assert np.abs(both.ravel()[1:] - 1).min() > 1e-6
    # Without order, shuffles change nothing on average.
    ratio = line.over_shuffled(noise, num_shuffles=200)
    np.testing.assert_allclose(np.median(ratio), np.log(2), atol=0.15)
    with pytest.raises(UserError, match="unknown shuffle 'space'"):
        line.over_shuffled(noise, "space")


def test_noise_is_on_the_line_as_often_as_anywhere():
    noise = np.random.default_rng(1).standard_normal((50, 40, 30))
    there, apart = line.on_line(40, 30, 1.0)
    assert not apart[0] and 24 <= apart.sum() < 30
    area = there[:, apart].mean()
    assert area == pytest.approx(3 / 40)
    for speed in (1.0, -1.0):
        assert line.fraction(noise, speed) == pytest.approx(area, rel=0.05)
    assert np.isnan(line.fraction(np.zeros((4, 6))))

"""Sequences that return to their start, against the reference program's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.config import presets
from nwm_jax.data.topography import gratings, periodic, rotation
from nwm_jax.errors import UserError

PLACES = ([3, 10, 14, 20, 0], [3, 14, 14, 5, 0])
TURNED = {
    0: (0.993550, 0.313062, 0.646238, 0.008774, 0.5, 390.5357),
    20: (0.803521, 0.533477, 0.646238, 0.174872, 0, 339.3245),
    40: (0, 0.757170, 0.646238, 0.494745, 0, 322.3884),
    90: (0.993927, 0.998632, 0.646238, 0.445902, 0, 373.4915),
    180: (0.135668, 0.914359, 0.646238, 0.959350, 0, 357.6921),
}


def test_rotation():
    y, x = np.mgrid[:28, :28]
    image = 0.5 + 0.5 * np.sin(0.3 * x + 0.17 * y)
    result = np.asarray(rotation.rotate(jnp.asarray(image)[None], list(TURNED)))[0]
    for turned, expected in zip(result, TURNED.values(), strict=False):
        np.testing.assert_allclose(turned[PLACES], expected[:5], atol=1e-5)
        assert turned.sum() == pytest.approx(expected[5], abs=1e-3)


def test_rotation_is_counter_clockwise():
    image = np.zeros((1, 9, 9), np.float32)
    image[0, 4, 8] = 1.0  # at the right
    turned = np.asarray(rotation.rotate(image, [90.0]))[0, 0]
    row, column = np.unravel_index(turned.argmax(), turned.shape)
    assert row <= 1 and abs(column - 4) <= 1  # at the top


def test_split_of_the_original_program():
    train, valid = rotation.shuffled_split(1, 60_000, 12_000)
    assert valid[:8].tolist() == [15281, 21435, 44536, 13518, 47529, 53560, 41094, 6060]
    assert train[:8].tolist() == [5004, 17676, 29485, 36476, 45508, 43740, 23834, 4318]
    assert valid.sum() == 356_422_244 and len(train) == 48_000


def test_gratings():
    result = np.asarray(gratings.gratings(jnp.array([np.pi / 4, 0.0]), jnp.zeros(2), 2))
    tilted = result[0, 0]
    assert tilted[0, 0] == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose([tilted[0, 6], tilted[6, 0]], 0.94800947, atol=1e-6)
    assert tilted[3, 4] == pytest.approx(0.98121864, abs=1e-6)
    assert tilted[27, 27] == pytest.approx(0.22946511, abs=1e-6)
    assert tilted.mean() == pytest.approx(0.48043796, abs=1e-6)
    expected = [0.67101007, 0.78678822, 0.88302222, 0.95315389]
    np.testing.assert_allclose(result[1, 1, 5, :4], expected, atol=1e-6)
    still = gratings.gratings(jnp.array([0.3]), jnp.zeros(1), 3, moving=False)
    np.testing.assert_array_equal(still[0, 0], still[0, 2])


def test_noise_is_a_clipped_normal():
    result = np.asarray(gratings.noise(jnp.array([1, 2], jnp.uint32), 40))
    assert result.shape == (2, 40, 28, 28)
    assert result.mean() == pytest.approx(0.316, abs=0.01)
    assert result.min() == 0 and result.max() == 1
    assert not np.array_equal(result[0], result[1])


@pytest.mark.parametrize("name", ["rotating_mnist_nwm2d", "sine_nwm2d", "noise_nwm2d"])
def test_sources(name):
    """A batch is a function of seed and step; a row does not depend on the others."""
    source = periodic.open_periodic(presets.load(f"{name}:smoke").data)
    whole = source.train(3, 7, slice(None), 6)
    part = source.train(3, 7, np.array([4, 1]), 6)
    later = source.train(3, 8, slice(None), 6)
    for key, values in whole.items():
        np.testing.assert_array_equal(values[[4, 1]], part[key])
        if key != "phase":  # always 0
            assert not np.array_equal(values, later[key])
    few, many = source.test(np.array([2])), source.test(np.arange(5))
    for key, values in few.items():
        np.testing.assert_array_equal(values[0], many[key][2])
    drawn = jax.jit(lambda batch: source.sequences(batch, 18))(many)
    assert drawn.shape == (5, 18, 8, 8, 1)
    assert 0 <= float(drawn.min()) and float(drawn.max()) <= 1


def test_sequences_return_to_their_start():
    for name in ("rotating_mnist_nwm2d", "sine_nwm2d"):
        source = periodic.open_periodic(presets.load(f"{name}:smoke").data)
        frames = np.asarray(source.sequences(source.test(np.arange(2)), 19))
        np.testing.assert_allclose(frames[:, 0], frames[:, 18], atol=1e-5)
        assert np.abs(frames[:, 0] - frames[:, 9]).max() > 0.3
        # Started later, it is the same a few frames on.
        late = np.asarray(source.sequences(source.test(np.arange(2)), 1, start=40.0))
        np.testing.assert_allclose(late[:, 0], frames[:, 2], atol=1e-5)


def test_refuses():
    data = presets.load("rotating_mnist_nwm2d:smoke,data.num_valid=1500").data
    with pytest.raises(UserError, match="leaves none of 1500 images"):
        periodic.open_periodic(data)
    data = presets.load("rotating_mnist_nwm2d:smoke,data.name=movies").data
    with pytest.raises(UserError, match=r"unknown data.name 'movies'"):
        periodic.open_periodic(data)

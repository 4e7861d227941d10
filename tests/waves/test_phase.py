import numpy as np
import pytest
import scipy.signal

from nwm_jax import waves
from nwm_jax.errors import UserError


def test_cosine_with_offset_gives_the_exact_exponential():
    # 2 + cos(2 pi 3 t/24 + .4): the offset goes, the rest is exp(i(...)).
    t = np.arange(24)
    angle = 2 * np.pi * 3 * t / 24 + 0.4
    signal = waves.analytic_signal(2 + np.cos(angle))
    np.testing.assert_allclose(signal, np.exp(1j * angle), atol=1e-12)
    np.testing.assert_allclose(signal[0], 0.921061 + 0.389418j, atol=1e-6)
    np.testing.assert_allclose(
        waves.phase(2 + np.cos(angle)), np.angle(np.exp(1j * angle)), atol=1e-12
    )


@pytest.mark.parametrize("n", [3, 4, 8, 31, 32])
def test_without_remove_mean_it_is_the_hilbert_transform_of_scipy(n):
    x = np.random.default_rng(n).normal(size=(n, 3, 2)) + 1
    np.testing.assert_allclose(
        waves.analytic_signal(x, remove_mean=False),
        scipy.signal.hilbert(x, axis=0),
        atol=1e-12,
    )


def test_both_unpaired_bins_are_removed():
    # The original program zeroes the highest frequency of an even N (and keeps the
    # mean, 1.46875 here): its phases are those of our signal with the mean put back.
    x = np.array([1, 3, -2, 0.5, 4, -1, 2, 0.25])
    signal = waves.analytic_signal(x) + x.mean()
    original = [-1.193757, 0.454568, 2.518776, -1.364054]
    original += [0.309728, 2.246620, -0.532716, 1.161565]
    np.testing.assert_allclose(np.angle(signal), original, atol=1e-6)
    np.testing.assert_allclose(signal.real[:3], [0.71875, 3.28125, -2.28125])


def test_the_axis_may_be_any_and_precision_is_kept():
    x = np.random.default_rng(0).normal(size=(4, 20, 3)).astype(np.float32)
    signal = waves.analytic_signal(x, axis=1)
    assert signal.dtype == np.complex64 and waves.phase(x, axis=-2).shape == x.shape
    expected = waves.analytic_signal(np.moveaxis(x.astype(np.float64), 1, 0))
    np.testing.assert_allclose(np.moveaxis(signal, 1, 0), expected, atol=1e-5)
    assert waves.analytic_signal(np.arange(6)).dtype == np.complex128


def test_a_small_wave_on_a_large_offset_keeps_its_phase_in_single_precision():
    angle = 2 * np.pi * 4 * np.arange(64) / 64
    x = (1000 + 0.1 * np.cos(angle)).astype(np.float32)
    error = np.angle(np.exp(1j * (waves.phase(x) - angle)))
    assert np.abs(error).max() < 2e-3  # the rounding of the samples themselves


def test_missing_and_constant_channels():
    x = np.cos(2 * np.pi * np.arange(20)[:, None] / 10 + np.arange(4))
    x[7, 1] = np.nan
    x[2, 2] = np.inf
    x[:, 3] = 0.1
    signal = waves.analytic_signal(x)
    np.testing.assert_array_equal(np.isnan(signal).all(axis=0), [0, 1, 1, 0])
    np.testing.assert_allclose(signal[:, 0], np.exp(2j * np.pi * np.arange(20) / 10))
    assert (signal[:, 3] == 0).all()
    phase = waves.phase(x)
    np.testing.assert_array_equal(np.isnan(phase).all(axis=0), [0, 1, 1, 1])
    assert np.isfinite(phase[:, 0]).all()
    assert np.isnan(waves.phase(np.full((5, 2), np.nan))).all()


@pytest.mark.parametrize(
    "x, axis, words",
    [
        (np.ones(8, complex), 0, "complex"),
        (np.array(["a"] * 8), 0, "real numbers"),
        (np.ones(8), 1, "no axis 1"),
        (np.float64(3), 0, "no axis 0"),
        (np.ones((2, 8)), 0, "at least 3"),
        (np.ones((0, 8)), 0, "at least 3"),
    ],
)
def test_mistakes_are_named(x, axis, words):
    with pytest.raises(UserError, match=words) as error:
        waves.phase(x, axis)
    assert "\n" not in str(error.value)

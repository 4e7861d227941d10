import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.waves import surrogates
from nwm_jax.waves.pipeline import plain_signal
from nwm_jax.waves.sites import grid_sites
from tests.helpers import wave_fields

SITES = grid_sites(np.ones((6, 6), bool))


def travelling(level=0.3, length=600):
    """A wave of many frequencies in noise: plain signal [T, 36]."""
    course = waves.band_pass(wave_fields.noise((length,)), (0.05, 0.15))
    turned = waves.analytic_signal(course)[:, None, None]
    i, j = np.indices((6, 6))
    x = (turned * np.exp(-1j * (0.5 * i + 0.2 * j))).real
    x = x / x.std() + level * wave_fields.noise(x.shape)
    return plain_signal(x, band=(0.05, 0.15)).reshape(length, -1)


def test_a_surrogate_keeps_spectra_and_covariance_and_no_direction():
    signal = travelling()
    spectrum = np.abs(np.fft.fft(signal, axis=0))
    real = signal.real - signal.real.mean(axis=0)
    index = waves.travelling_index(signal)
    indices = []
    for other in surrogates.surrogates(signal, 5):
        assert other.shape == signal.shape
        np.testing.assert_allclose(
            np.abs(np.fft.fft(other, axis=0)), spectrum, atol=1e-2
        )
        np.testing.assert_allclose(
            other.real.T @ other.real, real.T @ real, rtol=1e-2, atol=1
        )
        indices.append(waves.travelling_index(other))
    assert index > 0.95 and max(indices) < 0.6


@pytest.mark.parametrize("generalized", [True, False])
def test_a_wave_is_significant_and_noise_is_not(generalized):
    tests, _ = surrogates.significance(travelling(), SITES, 19, generalized=generalized)
    assert all(test["p_value"] == 0.05 for test in tests.values())
    assert {test["null"] for test in tests.values()} == {surrogates.NULL}
    noise = plain_signal(wave_fields.noise((600, 6, 6)), band=(0.05, 0.15))
    p_values = []
    for seed in range(4):
        tests, _ = surrogates.significance(
            noise.reshape(600, -1), SITES, 19, seed=seed, generalized=generalized
        )
        p_values.append([test["p_value"] for test in tests.values()])
    assert np.min(p_values) > 0.05


def test_the_same_seed_has_the_same_surrogates():
    signal = travelling(length=100)
    first, again, other = (
        next(surrogates.surrogates(signal, 1, seed=seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_time_reversal_turns_directions_by_pi():
    x = wave_fields.plane_wave((0.3, 0.2), (200, 8, 8)) + 0.3 * wave_fields.noise(
        (200, 8, 8)
    )
    options = {"band": (0.05, 0.2), "boundary": "open"}
    forward = waves.statistics(x, **options)
    backward = waves.statistics(x[::-1], **options)
    turn = abs(forward["direction"] - backward["direction"])
    np.testing.assert_allclose(turn, np.pi, atol=0.02)
    np.testing.assert_allclose(forward["speed"], backward["speed"], rtol=0.02)


def test_false_discoveries():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(
        surrogates.false_discoveries(p), [0.04, 0.16 / 3, 0.16 / 3, 0.5]
    )
    assert len(surrogates.false_discoveries(np.array([]))) == 0

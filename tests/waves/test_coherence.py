import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields


def test_coherence_of_known_directions():
    vectors = np.array([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0], [np.nan, 1.0]])
    np.testing.assert_allclose(waves.direction_coherence(vectors), np.sqrt(0.5))
    pairs = np.array([[[1.0, 0], [-2, 0]], [[0, 1], [0, 0.5]]])
    np.testing.assert_allclose(waves.direction_coherence(pairs, axis=1), [0, 1])
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 10_000)
    random = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    assert waves.direction_coherence(random) < 0.03
    assert np.isnan(waves.direction_coherence(np.zeros((3, 2))))


def test_gradient_coherence_weighs_by_steepness():
    vectors = np.array([[3.0, 0.0], [-1.0, 0.0], [np.nan, 1.0]])
    np.testing.assert_allclose(waves.gradient_coherence(vectors), 0.5)
    assert waves.direction_coherence(vectors) == 0
    pairs = np.array([[[1.0, 0], [-1, 0]], [[0, 1], [0, 0.5]]])
    np.testing.assert_allclose(waves.gradient_coherence(pairs, axis=1), [0, 1])
    assert np.isnan(waves.gradient_coherence(np.zeros((3, 2))))


@pytest.mark.parametrize("level, least", [(0.1, 0.999), (1, 0.95), (3, 0.6)])
def test_both_see_a_plane_wave_through_noise(level, least):
    wave = wave_fields.plane_wave(wave_fields.torus_vector(1, 1), (300, 12, 16))
    x = wave + level * wave_fields.noise(wave.shape)
    mean = waves.wave_velocity(waves.wave_signal(x, band=(0.05, 0.2))).mean(axis=0)
    assert least < waves.direction_coherence(mean) <= 1
    assert least < waves.gradient_coherence(mean) <= 1


def test_noise_has_no_direction():
    signal = waves.wave_signal(wave_fields.noise((300, 12, 16)), band=(0.05, 0.2))
    mean = waves.wave_velocity(signal).mean(axis=0)
    assert waves.direction_coherence(mean) < 0.15
    assert waves.gradient_coherence(mean) < 0.15


def test_synchrony():
    wave = waves.wave_signal(wave_fields.plane_wave(wave_fields.torus_vector(1, 2)))
    np.testing.assert_allclose(waves.synchrony(wave), 0, atol=1e-6)
    np.testing.assert_allclose(waves.synchrony(wave[:, 3, :1, None], axis=1), 1)
    together = np.exp(1j * np.arange(5))[:, None, None] * np.ones((5, 3, 4))
    together[:, 0, 0] = np.nan
    np.testing.assert_allclose(waves.synchrony(together), 1)
    half = np.where(np.arange(8) < 4, 1, 1j)[None]
    np.testing.assert_allclose(waves.synchrony(half), np.sqrt(0.5))
    assert np.isnan(waves.synchrony(np.full((2, 2), np.nan + 0j)))


def test_mistakes_are_named():
    for call, words in [
        (lambda: waves.direction_coherence(np.ones((3, 3))), "last axis of 2"),
        (lambda: waves.gradient_coherence(np.ones(3)), "last axis of 2"),
        (lambda: waves.synchrony(np.ones((3, 3))), "analytic_signal"),
    ]:
        with pytest.raises(UserError, match=words):
            call()

import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields

K = wave_fields.torus_vector(1, 2)


def index(x):
    return waves.travelling_index(waves.analytic_signal(x))


def test_plane_and_rotating_waves_travel_standing_ones_do_not():
    np.testing.assert_allclose(index(wave_fields.plane_wave(K)), 1, atol=1e-6)
    assert index(wave_fields.rotating_wave()) > 0.99
    assert index(wave_fields.standing_wave(K)) < 1e-6
    assert index(np.ones((1, 3, 4)) * wave_fields.plane_wave(K)[:, :1, :1]) < 1e-6


@pytest.mark.parametrize("other", [0.2, 0.5, 0.9, 1.0])
def test_two_waves_against_one_another(other):
    x = wave_fields.plane_wave(K) + other * wave_fields.plane_wave(-K)
    expected = (1 - other**2) / (1 + other**2)
    np.testing.assert_allclose(index(x), expected, atol=1e-6)


def test_two_waves_across_one_another_both_travel():
    x = wave_fields.plane_wave(wave_fields.torus_vector(1, 0))
    x = x + wave_fields.plane_wave(wave_fields.torus_vector(0, 1), omega=2 * np.pi / 5)
    assert index(x) > 0.99


def test_a_mode_with_unequal_halves_has_the_index_of_the_docstring():
    # c and d orthogonal with |d| = 0.3 |c|.
    rng = np.random.default_rng(0)
    c, d = np.linalg.qr(rng.normal(size=(48, 2)))[0].T
    mode = c + 0.3j * d
    t = np.arange(60)[:, None]
    signal = np.exp(0.4j * t) * (1 + 0.5 * np.cos(0.1 * t)) * mode
    result = waves.travelling_index(signal.reshape(60, 6, 8))
    np.testing.assert_allclose(result, 2 * 0.3 / 1.09)


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_noise_changes_little(level):
    noise = level * wave_fields.noise((400, 12, 16))
    shape = noise.shape
    assert index(wave_fields.plane_wave(K, shape) + noise) > 0.95
    assert index(wave_fields.standing_wave(K, shape) + noise) < 0.25


def test_noise_alone_does_not_travel():
    for seed in range(3):
        x = wave_fields.noise((600, 12, 16), seed)
        assert waves.travelling_index(waves.wave_signal(x, band=(0.05, 0.2))) < 0.35


def test_missing_cells_are_left_out():
    x = wave_fields.plane_wave(K)
    x[:, 2, 3] = np.nan
    assert index(x) > 0.99
    assert np.isnan(waves.travelling_index(np.full((9, 2, 2), np.nan + 0j)))


def test_long_records_are_thinned(monkeypatch):
    monkeypatch.setattr("nwm_jax.waves.travelling._MOST_FRAMES", 7)
    assert index(wave_fields.plane_wave(K)) > 0.99
    assert index(wave_fields.standing_wave(K)) < 1e-6


def test_mistakes_are_named():
    with pytest.raises(UserError, match="analytic_signal"):
        waves.travelling_index(np.ones((9, 2, 2)))
    with pytest.raises(UserError, match="at least 4"):
        waves.travelling_index(np.ones((3, 2, 2), complex))

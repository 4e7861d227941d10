import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields


@pytest.mark.parametrize("vector", [(0.31, -0.77), (0, 0), (-2.9, 1.3), (0.05, 3.0)])
@pytest.mark.parametrize("shape", [(9, 14), (32, 32)])
def test_any_plane_wave_is_found_exactly(vector, shape):
    i, j = np.indices(shape)
    phase = 0.4 - vector[0] * i - vector[1] * j
    fit = waves.fit_plane_wave(np.exp(1j * phase) * (1 + i))
    np.testing.assert_allclose(fit.wave_vector, vector, atol=1e-6)
    np.testing.assert_allclose(fit.goodness, 1)
    center = 0.4 - np.dot(vector, (np.array(shape) - 1) / 2)
    np.testing.assert_allclose(np.exp(1j * (fit.phase - center)), 1, atol=1e-5)


def test_the_peak_is_the_highest_of_all_wave_vectors():
    rng = np.random.default_rng(0)
    unit = np.exp(1j * rng.uniform(-np.pi, np.pi, (20, 5, 6)))
    fit = waves.fit_plane_wave(unit)
    k = np.linspace(-np.pi, np.pi, 121)
    rows = np.exp(1j * k[:, None] * np.arange(5))
    columns = np.exp(1j * k[:, None] * np.arange(6))
    brute = np.abs(rows @ unit @ columns.T).max(axis=(1, 2)) / 30
    assert (fit.goodness >= brute - 0.03).all()
    assert fit.goodness.mean() < 1.2 * np.sqrt(np.log(120) / 30)


@pytest.mark.parametrize("spread, goodness", [(0.5, 0.8825), (1.0, 0.6065)])
def test_goodness_and_error_in_phase_noise(spread, goodness):
    # Normal phases of standard deviation s have the mean resultant exp(-s^2 / 2).
    i, j = np.indices((20, 20))
    rng = np.random.default_rng(1)
    phase = -0.5 * i + 0.2 * j + spread * rng.normal(size=(50, 20, 20))
    fit = waves.fit_plane_wave(np.exp(1j * phase))
    np.testing.assert_allclose(fit.goodness.mean(), goodness, atol=0.02)
    np.testing.assert_allclose(
        fit.wave_vector, np.broadcast_to([0.5, -0.2], (50, 2)), atol=0.05
    )


def test_of_two_waves_the_stronger_counts():
    one = wave_fields.plane_wave((0.5, 0.3), (40, 16, 16))
    other = wave_fields.plane_wave((-0.8, 0.4), (40, 16, 16))
    fit = waves.fit_plane_wave(waves.wave_signal(one + 0.4 * other))
    np.testing.assert_allclose(fit.wave_vector[10:30], [[0.5, 0.3]] * 20, atol=0.05)
    assert (fit.goodness[10:30] > 0.8).all()


def test_missing_cells_rows_and_everything():
    i, j = np.indices((10, 10))
    signal = np.exp(-1j * (0.6 * i - 0.9 * j))
    signal[np.random.default_rng(2).uniform(size=(10, 10)) < 0.4] = np.nan
    fit = waves.fit_plane_wave(signal)
    np.testing.assert_allclose(fit.wave_vector, [0.6, -0.9], atol=1e-6)
    np.testing.assert_allclose(fit.goodness, 1)
    ring = waves.fit_plane_wave(np.exp(-0.7j * np.arange(16))[None])
    np.testing.assert_allclose(ring.wave_vector, [0, 0.7], atol=1e-6)
    nothing = waves.fit_plane_wave(np.full((2, 4, 4), np.nan + 0j))
    assert np.isnan(nothing.wave_vector).all() and np.isnan(nothing.goodness).all()


def test_mistakes_are_named():
    with pytest.raises(UserError, match="analytic_signal"):
        waves.fit_plane_wave(np.ones((4, 4)))
    with pytest.raises(UserError, match="empty"):
        waves.fit_plane_wave(np.ones((0, 4, 4), complex))

import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields


@pytest.mark.parametrize(
    "order, filtered, z, phase, velocity, grid_mean, time_mean",
    [
        (
            4,
            0.325026,
            0.954231,
            -0.86088,
            (1.00210, -1.23722),
            (0.73207, -1.00841),
            (0.512487, -1.082828),
        ),
        (
            5,
            0.280741,
            0.837879,
            -0.38854,
            (1.46829, -1.01728),
            (0.73045, -0.97932),
            (0.519247, -1.057832),
        ),
    ],
)
def test_the_original_setting_gives_the_numbers_of_the_original_program(
    order, filtered, z, phase, velocity, grid_mean, time_mean
):
    t, i, j = np.indices((72, 6, 6))
    x = np.sin(2 * np.pi * t / 18 + 0.9 * i)
    x += 0.5 * np.cos(4 * np.pi * t / 18 - 2 * np.pi * i / 6 + 2 * np.pi * j / 6)
    x += 0.25 * np.sin(6 * np.pi * t / 18 + 0.3 * j**2)
    band = waves.ORIGINAL_BAND
    passed = waves.band_pass(x, band, order=order)
    np.testing.assert_allclose(passed[40, 2, 3], filtered, atol=1e-4)
    np.testing.assert_allclose(waves.z_score(passed)[40, 2, 3], z, atol=1e-4)
    signal = waves.wave_signal(x, band=band, setting="original", order=order)
    assert signal.dtype == np.complex64
    np.testing.assert_allclose(np.angle(signal[40, 2, 3]), phase, atol=1e-4)
    nu = waves.wave_velocity(signal)
    np.testing.assert_allclose(nu[40, 2, 3], velocity, atol=1e-4)
    np.testing.assert_allclose(nu[18:].mean(axis=(0, 1, 2)), grid_mean, atol=1e-4)
    np.testing.assert_allclose(nu[18:, 2, 3].mean(axis=0), time_mean, atol=1e-4)


def test_the_generalized_setting_is_its_steps_one_after_another():
    x = wave_fields.noise((200, 3, 4)) + 5
    result = waves.wave_signal(x, band=(5, 30), fs=100)
    passed = waves.band_pass(x, (5, 30), fs=100, zero_phase=True)
    signal = waves.analytic_signal(waves.z_score(passed))
    expected = waves.generalized_signal(signal)
    np.testing.assert_allclose(result, expected, atol=1e-4)
    assert np.abs(result - signal).max() > 0.1


def test_generalized_phases_are_those_of_the_wave_without_lag():
    wave = wave_fields.plane_wave((0.3, -0.2), (300, 6, 6))
    result = waves.wave_signal(wave * 100 + 7, band=(0.05, 0.2))
    t, i, j = np.indices(wave.shape)
    turned = result * np.exp(-1j * (wave_fields.OMEGA * t - 0.3 * i + 0.2 * j))
    assert np.abs(np.angle(turned[50:-50])).max() < 0.05


def test_constant_and_missing_cells_have_no_signal():
    x = wave_fields.noise((100, 2, 3))
    x[:, 0, 0], x[:, 0, 1], x[5, 0, 2] = 3.0, np.nan, np.nan
    for band in (None, (0.1, 0.2)):
        for setting in ("generalized", "original"):
            signal = waves.wave_signal(x, band=band, setting=setting)
            assert np.isnan(signal[:, 0]).all() and np.isfinite(signal[:, 1]).all()


def test_mistakes_are_named():
    x = wave_fields.noise((100, 2, 3))
    for call, words in [
        (lambda: waves.wave_signal(x[0]), r"\[time, height, width\]"),
        (lambda: waves.wave_signal(x[:2]), "at least 3"),
        (lambda: waves.wave_signal(x, setting="hilbert"), "'generalized' or"),
        (lambda: waves.wave_signal(x, band=(0.1, 0.7)), "Nyquist"),
        (lambda: waves.wave_signal(x, band=(0.001, 0.2)), "too few"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            call()
        assert "\n" not in str(error.value)

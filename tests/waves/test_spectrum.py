import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields

K = wave_fields.torus_vector(-2, 3)


@pytest.mark.parametrize("level", [0.0, 1.0, 3.0])
def test_peak_of_a_plane_wave(level):
    shape = (200, 12, 16)
    x = wave_fields.plane_wave(K, shape) + level * wave_fields.noise(shape)
    result = waves.space_time_spectrum(x, fs=50.0, segment=100, num_shuffles=19)
    frequency, wave_vector = result.peak()
    np.testing.assert_allclose(frequency, 5.0)
    np.testing.assert_allclose(wave_vector, K)
    assert result.p_value == 0.05
    # The shuffled cells keep the frequency, not the place.
    at = np.argmin(np.abs(result.frequency - 5))
    assert result.control[at].max() < 0.2 * result.power[at].max()
    np.testing.assert_allclose(
        result.control.sum((1, 2)), result.power.sum((1, 2)), rtol=1e-4
    )


def test_noise_is_like_its_shuffles():
    p = [
        waves.space_time_spectrum(
            wave_fields.noise((120, 8, 9), seed), segment=40, num_shuffles=9, seed=seed
        ).p_value
        for seed in range(12)
    ]
    assert np.mean(p) > 0.3 and min(p) >= 0.1


def test_the_sum_is_the_mean_square():
    x = wave_fields.noise((4000, 3, 4)) * 2
    for segment in (50, 51):
        result = waves.space_time_spectrum(x, segment=segment)
        # Without frequency 0, about one bin in twenty-five, and its window's neighbour.
        np.testing.assert_allclose(result.power.sum(), np.mean(x**2), rtol=0.05)
    wave = wave_fields.plane_wave(K, (200, 12, 16))
    result = waves.space_time_spectrum(wave, segment=100)
    np.testing.assert_allclose(result.power.sum(), 0.5, rtol=1e-3)


def test_standing_and_opposite_waves_have_two_peaks():
    x = wave_fields.plane_wave(K, (200, 12, 16)) + 0.5 * wave_fields.plane_wave(
        -K, (200, 12, 16)
    )
    result = waves.space_time_spectrum(x, segment=100)
    at = np.argmin(np.abs(result.frequency - 0.1))

    def power(vector):
        row = np.argmin(np.abs(result.rows - vector[0]))
        return result.power[at, row, np.argmin(np.abs(result.columns - vector[1]))]

    np.testing.assert_allclose(power(-K) / power(K), 0.25, rtol=1e-4)


def test_axes_band_and_missing_cells():
    x = wave_fields.plane_wave(K, (200, 12, 16))
    x[:, 1, 1], x[:, 2, 2] = np.nan, 7.0
    result = waves.space_time_spectrum(x, fs=10.0, band=(0.5, 2.0), segment=100)
    np.testing.assert_allclose(result.frequency, np.arange(5, 21) / 10)
    assert result.power.shape == (16, 12, 16) and result.control is None
    np.testing.assert_allclose(result.rows, np.arange(-6, 6) * np.pi / 6)
    np.testing.assert_allclose(result.columns, np.arange(-8, 8) * np.pi / 8)
    np.testing.assert_allclose(result.peak()[1], K)
    assert np.isnan(result.p_value) and np.isfinite(result.power).all()


@pytest.mark.parametrize("unit", [1e-24, 1e24])
def test_any_unit(unit):
    x = wave_fields.plane_wave(K, (200, 12, 16)) + 0.2 * wave_fields.noise(
        (200, 12, 16)
    )
    one = waves.space_time_spectrum(x, segment=100, num_shuffles=9)
    other = waves.space_time_spectrum(x * unit, segment=100, num_shuffles=9)
    assert other.p_value == one.p_value == 0.1
    np.testing.assert_allclose(other.power / unit**2, one.power, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("wavelength", [4.0, 24.0, 64.0])
def test_an_open_sheet_says_at_least_for_waves_as_long_as_itself(wavelength):
    t, i, j = np.indices((400, 16, 16))
    k = 2 * np.pi / wavelength
    x = np.cos(0.2 * np.pi * t - k * (0.6 * i + 0.8 * j))
    result = waves.space_time_spectrum(x, segment=100, boundary="open")
    assert result.at_least() == (wavelength >= 16) and result.longest == 16
    if wavelength < 16:
        np.testing.assert_allclose(result.peak()[1], [0.6 * k, 0.8 * k], atol=0.2)


@pytest.mark.parametrize("layout", ["staggered", "scattered"])
def test_sites_of_any_layout(layout):
    place = np.indices((11, 11)).reshape(2, -1).T.astype(float)
    if layout == "scattered":
        place += np.random.default_rng(0).uniform(-0.2, 0.2, place.shape)
    k = 2 * np.pi / 4.2 * np.array([0.6, 0.8])
    t = np.arange(400)[:, None]
    x = np.cos(0.2 * np.pi * t - place @ k) + 0.3 * wave_fields.noise((400, 121))
    if layout == "staggered":
        x[:, place.sum(axis=1) % 2 == 0] = np.nan
        options = {"boundary": "open"}
        x = x.reshape(400, 11, 11)
    else:
        options = {"positions": place}
    result = waves.space_time_spectrum(x, segment=100, num_shuffles=9, **options)
    np.testing.assert_allclose(result.peak()[1], k, atol=0.35)
    np.testing.assert_allclose(result.peak()[0], 0.1, atol=0.02)
    assert result.p_value == 0.1


def test_mistakes_are_named():
    x = wave_fields.noise((40, 3, 4))
    for call, words in [
        (lambda: waves.space_time_spectrum(x[0]), "time, height, width"),
        (lambda: waves.space_time_spectrum(x[:3]), "at least 4 frames"),
        (lambda: waves.space_time_spectrum(x, fs=0), "positive"),
        (lambda: waves.space_time_spectrum(x, band=(0.3, 0.6)), "Nyquist"),
        (lambda: waves.space_time_spectrum(x, band=(0.001, 0.01)), "longer segments"),
    ]:
        with pytest.raises(UserError, match=words):
            call()

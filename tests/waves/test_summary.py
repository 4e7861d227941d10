import json

import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields

K = wave_fields.torus_vector(1, 2)


def test_plane_wave_on_a_torus():
    result = waves.statistics(wave_fields.plane_wave(K), fs=100.0)
    number = np.hypot(*K)
    expected = {
        "frames": 60,
        "height": 12,
        "width": 16,
        "missing": 0,
        "frequency": 10,
        "velocity": K,
        "direction": np.arctan2(*K),
        "wave_number": number,
        "wavelength": 2 * np.pi / number,
        "speed": 100 * wave_fields.OMEGA / number,
        "speed_goodness": 1,
        "gradient_speed": 100 * wave_fields.OMEGA / number,
        "gradient_wave_number": number,
        "coherence": 1,
        "one_sided_coherence": 1,
        "momentary_coherence": 1,
        "gradient_coherence": 1,
        "plane_wave": 1,
        "travelling_index": 1,
        "synchrony": 0,
        "singular_fraction": 0,
    }
    others = {"spatial_length", "temporal_length", "speed_interval"}
    assert set(expected) | others == set(result)
    assert result["speed_interval"] is None  # 5 cycles have none
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, atol=1e-4, err_msg=name)
    # cos falls to 1/e within a fifth of its period of 0.1.
    np.testing.assert_allclose(result["temporal_length"], 0.0193, atol=1e-3)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("wavelength", [2.25, 3, 6])
def test_waves_down_to_two_cells_have_their_own_direction(wavelength):
    """Central differences see the alias of waves shorter than 4 cells."""
    k = np.array([0, 2 * np.pi / wavelength])
    x = wave_fields.plane_wave(k, (600, 18, 18), 2 * np.pi * 0.02)
    x += 0.05 * wave_fields.noise(x.shape)
    result = waves.statistics(x, band=(0.01, 0.04))
    np.testing.assert_allclose(result["direction"], 0, atol=0.01)
    np.testing.assert_allclose(result["speed"], 0.02 * wavelength, rtol=0.02)
    np.testing.assert_allclose(result["wavelength"], wavelength, rtol=0.01)
    assert result["coherence"] > 0.99


@pytest.mark.parametrize("noise", [0.3, 2.0])
@pytest.mark.parametrize("pixel", [1, 2])
def test_the_headline_depends_neither_on_noise_nor_on_the_size_of_pixels(noise, pixel):
    t, i, j = np.indices((1200, 32, 32))
    x = np.cos(2 * np.pi * (t / 20 - i * 0.01 - j * 0.02))
    x += noise * wave_fields.noise(x.shape)
    x = x.reshape(1200, 32 // pixel, pixel, -1, pixel).mean(axis=(2, 4))
    result = waves.statistics(x, fs=200, band=(5, 20), boundary="open")
    speed = 10 / np.hypot(0.01, 0.02)
    np.testing.assert_allclose(result["speed"] * pixel, speed, rtol=0.05)
    low, high = result["speed_interval"]
    assert low < result["speed"] < high < 1.25 * low
    assert result["gradient_speed"] < result["speed"]


def test_scattered_sites():
    place = np.random.default_rng(0).uniform(0, 4, (60, 2))  # mm
    t = np.arange(600)[:, None] / 200
    k = 2 * np.pi / 6 * np.array([0.6, -0.8])
    x = np.cos(2 * np.pi * 10 * t - place @ k) + 0.3 * wave_fields.noise((600, 60))
    signal = waves.wave_signal(x[:, None], band=(5, 20), fs=200)[:, 0]
    signal[:, 7] = np.nan
    result = waves.signal_statistics(signal, fs=200, positions=place)
    assert result["missing"] == 1
    np.testing.assert_allclose(result["speed"], 60, rtol=0.03)
    np.testing.assert_allclose(result["velocity"], k, atol=0.03)
    np.testing.assert_allclose(result["spatial_length"], 1.5, rtol=0.3)
    assert result["plane_wave"] > 0.95 and result["travelling_index"] > 0.95
    assert result["singular_fraction"] < 0.05 and result["momentary_coherence"] > 0.7


def test_other_fields():
    rotating = waves.statistics(wave_fields.rotating_wave(), boundary="open")
    assert rotating["travelling_index"] > 0.99 and rotating["coherence"] < 0.05
    # One singularity; the centre cell has a phase, so it sits beside it.
    np.testing.assert_allclose(rotating["singular_fraction"], 1 / (12 * 14), rtol=0.01)
    still = wave_fields.standing_wave(K) + 0.05 * wave_fields.noise()
    standing = waves.statistics(still)
    assert standing["travelling_index"] < 0.1 and standing["coherence"] < 0.3
    together = np.cos(wave_fields.OMEGA * np.arange(60))[:, None, None] * np.ones(
        (1, 5, 6)
    )
    result = waves.statistics(together)
    np.testing.assert_allclose(result["synchrony"], 1)
    assert result["travelling_index"] < 0.01
    assert result["speed"] is None and result["coherence"] is None


@pytest.mark.parametrize("level", [0.5, 1.5])
def test_noise_and_missing_cells(level):
    wave = wave_fields.plane_wave(K, (300, 12, 16))
    x = wave + level * wave_fields.noise(wave.shape)
    x[:, 3, 4], x[:, 0, 0] = np.nan, 2.0
    result = waves.statistics(x, band=(0.07, 0.14))
    assert result["missing"] == 2
    assert result["coherence"] > 0.95 and result["travelling_index"] > 0.95
    np.testing.assert_allclose(result["frequency"], 0.1, atol=0.005)
    noise = waves.statistics(wave_fields.noise(wave.shape), band=(0.07, 0.14))
    assert noise["coherence"] < 0.15 and noise["travelling_index"] < 0.45
    assert noise["plane_wave"] < 0.3 and noise["singular_fraction"] > 0.25


def test_rings_are_not_compared_with_one_another():
    t, _, j = np.indices((60, 5, 16))
    start = np.random.default_rng(0).uniform(0, 2 * np.pi, (1, 5, 1))
    x = np.cos(wave_fields.OMEGA * t - 2 * np.pi * 3 * j / 16 + start)
    result = waves.statistics(x, rings=True)
    np.testing.assert_allclose(result["velocity"], [0, 2 * np.pi * 3 / 16], atol=1e-5)
    for name in ("coherence", "plane_wave", "travelling_index"):
        np.testing.assert_allclose(result[name], 1, atol=1e-5)
    assert result["singular_fraction"] is None
    assert (result["height"], result["width"]) == (5, 16)
    assert waves.statistics(x)["plane_wave"] < 0.95


def test_skip_leaves_out_the_start():
    x = wave_fields.plane_wave(K, (90, 12, 16))
    x[:30] = wave_fields.plane_wave(-K, (30, 12, 16))
    mixed, late = waves.statistics(x), waves.statistics(x, skip=40)
    assert late["frames"] == 50 and late["coherence"] > 0.99
    assert late["velocity"][0] > mixed["velocity"][0]


def test_the_original_setting_skips_its_transient():
    x = wave_fields.plane_wave(K, (72, 12, 16), omega=2 * np.pi * 0.15)
    result = waves.statistics(x, band=waves.ORIGINAL_BAND, setting="original", skip=18)
    np.testing.assert_allclose(result["velocity"], K, atol=0.01)


def test_long_records_are_thinned(monkeypatch):
    x = wave_fields.plane_wave(K)
    whole = waves.statistics(x)
    monkeypatch.setattr("nwm_jax.waves.summary._MOST_FRAMES", 13)
    thinned = waves.statistics(x)
    for name in ("frequency", "speed", "coherence", "plane_wave", "velocity"):
        np.testing.assert_allclose(thinned[name], whole[name], atol=1e-4)


def test_nothing_to_see_is_none():
    result = waves.statistics(np.ones((20, 4, 4)))
    assert result["missing"] == 16
    assert result["coherence"] is None and result["velocity"] == [None, None]
    assert json.loads(json.dumps(result)) == result


def test_mistakes_are_named():
    x = wave_fields.noise((20, 4, 4))
    for call, words in [
        (lambda: waves.statistics(x[0]), "height, width"),
        (lambda: waves.statistics(x, skip=17), "at least 4 must be left"),
        (lambda: waves.statistics(x, skip=-1), "at least 4 must be left"),
        (lambda: waves.statistics(x, fs=0), "positive"),
        (lambda: waves.statistics(x[:, :2], rings=False), "boundary='open'"),
        (lambda: waves.signal_statistics(x), "complex"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            call()
        assert "\n" not in str(error.value)

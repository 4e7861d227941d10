"""The whole analysis: what it warns of, and real recordings whose facts are known."""

import os
import pathlib

import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.waves import analysis, describe, formats, prepare, recording
from tests.helpers import wave_fields


def test_near_the_nyquist_frequency_it_warns_and_is_right():
    t, _, j = np.indices((400, 8, 8))
    x = np.cos(2 * np.pi * 0.47 * t - 0.4 * j) + 0.2 * wave_fields.noise(t.shape)
    value = analysis.analyse(x).result
    np.testing.assert_allclose(value["statistics"]["direction"], 0, atol=0.1)
    np.testing.assert_allclose(value["statistics"]["speed"], 7.38, rtol=0.05)
    words = " ".join(value["warnings"])
    assert "near the Nyquist frequency" in words and "no --band" in words


@pytest.mark.parametrize("slope", [1, 2])
def test_slow_noise_without_a_band_is_warned_of_and_not_significant(slope):
    spectrum = np.fft.rfft(wave_fields.noise((600, 6, 6)), axis=0)
    frequency = np.maximum(np.fft.rfftfreq(600), 1 / 600)[:, None, None]
    x = np.fft.irfft(spectrum / frequency ** (slope / 2), axis=0)
    value = analysis.analyse(x, num_surrogates=19).result
    assert value["statistics"]["travelling_index"] > 0.3  # which says nothing
    assert value["significance"]["travelling_index"]["p_value"] > 0.05
    assert "consider --band=" in value["warnings"][0]


def test_skip_leaves_out_both_ends():
    x = wave_fields.plane_wave((0.3, 0.2), (200, 6, 6))
    value = analysis.analyse(x, fs=10.0, skip=2.0).result["statistics"]
    assert value["frames"] == 160 and value["skipped"] == 20
    with pytest.raises(UserError, match="at least 4 frames"):
        analysis.analyse(x, fs=10.0, skip=10.0)


def test_a_masked_sheet_with_holes():
    x = wave_fields.plane_wave((0.3, 0.2), (300, 12, 12)) + 0.3 * wave_fields.noise(
        (300, 12, 12)
    )
    mask = np.hypot(*(np.indices((12, 12)) - 5.5)) < 5
    value = analysis.analyse(x, band=(0.05, 0.2), steps=prepare.Steps(mask=mask)).result
    assert value["statistics"]["missing"] == 144 - mask.sum()
    speed = wave_fields.OMEGA / np.hypot(0.3, 0.2)
    np.testing.assert_allclose(value["statistics"]["speed"], speed, rtol=0.03)
    assert value["fronts"]["by_class"]["plane"] >= 28


ROOT = os.environ.get("NWM_JAX_RECORDINGS")
real = pytest.mark.skipif(not ROOT, reason="NWM_JAX_RECORDINGS is not set")


def movie(name):
    data = formats.read(pathlib.Path(ROOT) / name).data
    return recording.time_first(data, 2)[0]


@real
@pytest.mark.slow
def test_the_slow_waves_of_a_mouse():
    data = formats.read(pathlib.Path(ROOT) / "mouse_gcamp_50x50.npy").data
    steps = prepare.Steps(mask="auto", dff=20.0)
    units = describe.Units("s", "mm")
    options = {"fs": 25.0, "band": (0.5, 3.0), "spacing": 0.1, "units": units}
    value = analysis.analyse(data, steps=steps, **options).result
    fronts = value["fronts"]
    assert 45 <= fronts["count"] <= 65 and fronts["by_class"]["plane"] >= 20
    assert 25 <= fronts["median_speed"] <= 50
    speed = value["statistics"]["speed"]
    coarse = analysis.analyse(data, steps=steps._replace(bin=4), **options).result
    np.testing.assert_allclose(coarse["statistics"]["speed"], speed, rtol=0.15)


@real
def test_a_plane_and_a_circular_movie():
    value = analysis.analyse(movie("plane_wave_5px_per_frame.mat")).result
    np.testing.assert_allclose(value["statistics"]["speed"], 5, rtol=0.02)
    value = analysis.analyse(movie("circular_wave.mat")).result
    assert value["fronts"]["by_class"]["radial"] == value["fronts"]["count"] == 1
    np.testing.assert_allclose(value["fronts"]["source"], [63, 63], atol=3)
    assert 5 <= value["fronts"]["median_speed_radial"] <= 6
    assert 5 <= value["statistics"]["speed"] <= 6


@real
def test_frames_of_a_folder_are_in_their_natural_order():
    pytest.importorskip("tifffile")
    frames = formats.read(pathlib.Path(ROOT) / "mouse_tiff").data
    whole = np.load(pathlib.Path(ROOT) / "mouse_gcamp_50x50.npy")[:120]
    means = frames.reshape(120, 50, 2, 50, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(means, whole, atol=1)

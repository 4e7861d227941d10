import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields


def exact(wave_vector, shape=(60, 12, 16)):
    t, i, j = np.indices(shape)
    place = wave_vector[0] * i + wave_vector[1] * j
    return np.exp(1j * (wave_fields.OMEGA * t - place))


@pytest.mark.parametrize("vector", [(0.2, -0.3), (0, 0.5), (-0.4, 0)])
def test_fronts_of_a_plane_wave(vector):
    fronts = waves.find_fronts(exact(vector), fs=100.0)
    full = fronts.cells == 12 * 16
    assert full.sum() >= 4
    # v = omega k / |k|^2, one front per period of 10 samples.
    velocity = 100 * wave_fields.OMEGA * np.array(vector) / np.dot(vector, vector)
    np.testing.assert_allclose(
        fronts.velocity[full], np.tile(velocity, (full.sum(), 1)), atol=1e-6
    )
    np.testing.assert_allclose(fronts.speed[full], np.hypot(*velocity))
    np.testing.assert_allclose(fronts.goodness[full], 1)
    np.testing.assert_allclose(np.diff(fronts.time[full]), 0.1)
    spread = (11 * abs(vector[0]) + 15 * abs(vector[1])) / wave_fields.OMEGA
    np.testing.assert_allclose(fronts.duration[full], spread / 100)
    assert (np.diff(fronts.time) >= 0).all()


def test_troughs_follow_half_a_period_later():
    signal = exact((0.2, 0.1))
    crests = waves.find_fronts(signal)
    troughs = waves.find_fronts(signal, phase=np.pi)
    full = [f.time[f.cells == 192] for f in (crests, troughs)]
    np.testing.assert_allclose((full[1][1] - full[0][1]) % 10, 5)


@pytest.mark.parametrize("level", [0.2, 0.5])
def test_speed_in_noise(level):
    x = wave_fields.plane_wave((0.25, -0.1), (300, 12, 16))
    x += level * wave_fields.noise(x.shape)
    fronts = waves.find_fronts(waves.wave_signal(x, band=(0.06, 0.14)))
    assert 26 <= len(fronts.time) <= 34
    expected = wave_fields.OMEGA / np.hypot(0.25, 0.1)
    np.testing.assert_allclose(np.median(fronts.speed), expected, rtol=0.05)
    assert np.median(fronts.goodness) > 0.9
    assert waves.direction_coherence(fronts.velocity) > 0.95


def test_synchrony_has_fronts_without_a_velocity():
    signal = np.exp(1j * wave_fields.OMEGA * (np.arange(40) + 0.3))[:, None, None]
    fronts = waves.find_fronts(signal * np.ones((1, 5, 5)))
    assert len(fronts.time) == 3 or len(fronts.time) == 4
    assert np.isnan(fronts.speed).all() and np.isnan(fronts.goodness).all()
    np.testing.assert_allclose(fronts.duration, 0)


def test_a_rotating_wave_is_one_crooked_front():
    fronts = waves.find_fronts(waves.wave_signal(wave_fields.rotating_wave()))
    assert len(fronts.time) == 1 and fronts.goodness[0] < 0.1


def test_one_row_missing_cells_and_small_fronts():
    ring = waves.find_fronts(exact((0, 0.4), (60, 1, 16)))
    np.testing.assert_allclose(ring.velocity[1], [0, wave_fields.OMEGA / 0.4])
    signal = exact((0.2, 0.3))
    signal[:, 4, 5:9] = np.nan
    fronts = waves.find_fronts(signal)
    assert fronts.cells.max() == 12 * 16 - 4
    np.testing.assert_allclose(fronts.goodness, 1)
    some = waves.find_fronts(signal, min_share=1.0)
    assert 0 < len(some.time) < len(fronts.time)
    assert len(waves.find_fronts(np.full((9, 3, 3), np.nan + 0j)).time) == 0


def test_fast_oscillations_are_not_missed():
    # 3.5 samples per period: steps of phase beyond pi/2.
    t, _, j = np.indices((35, 6, 6))
    signal = np.exp(1j * (2 * np.pi * t / 3.5 - 0.1 * j))
    fronts = waves.find_fronts(signal)
    assert 8 <= (fronts.cells == 36).sum() <= 10


def test_mistakes_are_named():
    signal = exact((0.2, 0.3))
    for call, words in [
        (lambda: waves.find_fronts(signal.real), "analytic_signal"),
        (lambda: waves.find_fronts(signal[0]), "is needed"),
        (lambda: waves.find_fronts(signal[:1]), "at least 2 frames"),
        (lambda: waves.find_fronts(signal, fs=-1), "positive"),
        (lambda: waves.find_fronts(signal, min_share=2), "min_share"),
    ]:
        with pytest.raises(UserError, match=words):
            call()

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


@pytest.mark.parametrize("charge", [-1, 1])
def test_a_rotating_wave_is_one_front_a_turn(charge):
    field = wave_fields.rotating_wave(charge, center=(5.2, 8.1))
    fronts = waves.find_fronts(waves.wave_signal(field))
    whole = fronts.cells > 150
    assert 5 <= whole.sum() <= 6
    assert (fronts.kind[whole] == "rotating").all()
    assert (fronts.outward[whole] == charge).all()
    np.testing.assert_allclose(fronts.center[whole], [[5.2, 8.1]] * whole.sum(), atol=1)
    assert (fronts.fit[whole] > 0.9).all()


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


def recording(place, wavelength=16.0, noise=0.0, fs=200.0, length=1000, seed=0):
    """A plane wave of 10 cycles per unit of time at sites [N, 2]: signal, speed."""
    k = 2 * np.pi / wavelength * np.array([np.sin(0.4), np.cos(0.4)])
    t = np.arange(length)[:, None] / fs
    x = np.cos(20 * np.pi * t - place @ k)
    x += noise * np.random.default_rng(seed).normal(size=x.shape)
    x = x[:, None]
    return waves.wave_signal(x, band=(5, 20), fs=fs)[:, 0], 10 * wavelength


def test_noise_of_twice_the_wave_neither_merges_nor_splits_fronts():
    place = np.indices((32, 32)).reshape(2, -1).T.astype(float)
    signal, speed = recording(place, 40, noise=1.5, length=600)
    fronts = waves.find_fronts(signal.reshape(-1, 32, 32), fs=200.0)
    assert 29 <= len(fronts.time) <= 31
    assert (fronts.kind == "plane").mean() > 0.9
    np.testing.assert_allclose(np.median(fronts.speed), speed, rtol=0.05)


@pytest.mark.parametrize("layout", ["holes", "staggered", "scattered"])
def test_gaps_between_sites_cut_no_front(layout):
    rng = np.random.default_rng(1)
    place = np.indices((10, 10)).reshape(2, -1).T.astype(float)
    kept = {
        "holes": np.sort(rng.permutation(100)[:60]),
        "staggered": np.flatnonzero(place.sum(axis=1) % 2),
        "scattered": np.arange(100),
    }[layout]
    if layout == "scattered":
        place = place * 0.4 + rng.uniform(-0.1, 0.1, place.shape)  # 0.4 mm
    wavelength = 18.7 * (0.4 if layout == "scattered" else 1)
    signal, speed = recording(place, wavelength, noise=0.3)
    if layout == "scattered":
        fronts = waves.find_fronts(signal, fs=200.0, positions=place)
    else:
        gone = np.setdiff1d(np.arange(100), kept)
        signal[:, gone] = np.nan
        fronts = waves.find_fronts(signal.reshape(-1, 10, 10), fs=200.0)
    assert len(fronts.time) == pytest.approx(50, abs=1)
    assert (fronts.kind == "plane").all()
    np.testing.assert_allclose(np.median(fronts.speed), speed, rtol=0.03)
    error = np.abs(fronts.speed - speed) / fronts.speed_error
    assert 0.3 < np.median(error) < 1.4  # of a normal distribution 0.67


@pytest.mark.parametrize("center", [(3, 4), (-4, 8), (8, 20)])
@pytest.mark.parametrize("outward", [1, -1])
def test_off_centre_targets_are_radial_with_their_source_and_speed(center, outward):
    t, i, j = np.indices((300, 16, 16))
    away = np.hypot(i - center[0], j - center[1])
    x = np.cos(2 * np.pi * (10 * t / 200 - outward * away / 7.54))
    x += 0.3 * wave_fields.noise(x.shape)
    fronts = waves.find_fronts(waves.wave_signal(x, band=(5, 20), fs=200), fs=200.0)
    whole = fronts.cells > 250
    assert whole.sum() >= 12 and (fronts.kind[whole] == "radial").mean() > 0.95
    radial = whole & (fronts.kind == "radial")
    assert (fronts.outward[radial] == outward).all()
    np.testing.assert_allclose(np.median(fronts.speed[radial]), 75.4, rtol=0.05)
    np.testing.assert_allclose(np.median(fronts.center[radial], 0), center, atol=0.5)


@pytest.mark.parametrize("lag", [0.15, 0.25, 0.35])
def test_two_regions_in_turn_are_no_wave(lag):
    t, _, j = np.indices((300, 12, 12))
    x = np.cos(2 * np.pi * (10 * t / 200 - lag * (j >= 6))) + 0.2 * wave_fields.noise(
        t.shape
    )
    fronts = waves.find_fronts(waves.wave_signal(x, band=(5, 20), fs=200), fs=200.0)
    assert len(fronts.time) >= 14
    assert (fronts.kind == "none").all()


def test_noise_has_few_waves_of_any_class():
    x = wave_fields.noise((600, 12, 12))
    fronts = waves.find_fronts(waves.wave_signal(x, band=(5, 20), fs=200), fs=200.0)
    assert (fronts.kind == "rotating").mean() < 0.1
    assert (fronts.kind == "none").mean() > 0.6


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

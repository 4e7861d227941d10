import numpy as np
import pytest

from nwm_jax.waves.cycles import measure_cycles
from nwm_jax.waves.pipeline import wave_signal
from nwm_jax.waves.sites import grid_sites
from nwm_jax.waves.speed import headline


@pytest.mark.slow
def test_strong_noise_makes_the_speed_uncertain_and_not_lower():
    """Noise across the waves adds to the length of k, 3 % here if nothing is done."""
    t, i, j = np.indices((1000, 16, 16))
    wave = np.cos(2 * np.pi * (0.1 * t - (np.sin(0.4) * i + np.cos(0.4) * j) / 24))
    sites = grid_sites(np.ones((16, 16), bool))
    speeds, inside = [], 0
    for seed in range(16):
        noise = np.random.default_rng([3, seed]).normal(size=wave.shape)
        signal = wave_signal(wave + 2 * noise, band=(0.05, 0.15)).reshape(1000, -1)
        result = headline(measure_cycles(signal, sites), fs=1.0, spacing=1.0)
        speeds.append(result.speed)
        inside += result.interval[0] <= 2.4 <= result.interval[1]
    np.testing.assert_allclose(np.mean(speeds), 2.4, rtol=0.015)
    assert inside >= 13

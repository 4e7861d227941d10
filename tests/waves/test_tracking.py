"""A crest is followed through a plane wave, round a torus and past noise."""

import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.waves.tracking import track_crest


def plane(steps=24, side=24, noise=0.0):
    """Moves down and right, both by 1 cell a frame."""
    t, i, j = np.mgrid[:steps, :side, :side]
    k = 2 * np.pi / 12
    wave = np.exp(1j * k * (2 * t - i - j))
    rng = np.random.default_rng(0)
    return wave + noise * rng.normal(size=wave.shape)


def test_a_crest_of_a_plane_wave():
    result = track_crest(plane(), (3, 5))
    t = np.arange(24)
    # Along the front all cells are as good: what counts is how far it has got.
    far = (result.sum(axis=1) - 8 - 2 * t) % 12
    assert np.minimum(far, 12 - far).max() <= 1
    np.testing.assert_array_equal(result[1], [4, 6])


def test_it_starts_on_a_crest_and_lives_with_noise():
    signal = plane(noise=0.3)
    result = track_crest(signal)
    assert abs(np.angle(signal[0][tuple(result[0])])) < 0.3
    phases = np.angle([signal[t][tuple(p)] for t, p in enumerate(result)])
    assert np.abs(phases).mean() < 0.5


def test_refuses():
    with pytest.raises(UserError, match="2 frames or more"):
        track_crest(plane()[:1])
    with pytest.raises(UserError, match="is not in a sheet"):
        track_crest(plane(), (30, 0))

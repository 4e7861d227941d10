import numpy as np
import pytest
import scipy.ndimage

from nwm_jax import waves
from nwm_jax.errors import UserError
from tests.helpers import wave_fields


def direct(x, di, dj, wrap):
    """The mean product of all pairs at one lag, pair by pair."""
    height, width = x.shape[1:]
    total = []
    for i in range(height):
        for j in range(width):
            k, m = i + di, j + dj
            if wrap:
                k, m = k % height, m % width
            if 0 <= k < height and 0 <= m < width:
                total.append(np.mean(x[:, i, j] * x[:, k, m]))
    return np.nanmean(total)


@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_every_lag_is_the_mean_over_its_pairs(boundary):
    x = wave_fields.noise((30, 5, 6)) + 3
    x[:, 2, 2] = np.nan
    result = waves.spatial_autocorrelation(x, boundary=boundary).correlation
    m, n = (np.array(result.shape) - 1) // 2
    assert (m, n) == ((2, 2) if boundary == "periodic" else (2, 3))
    z = x - x.mean(axis=0)
    for di in range(-m, m + 1):
        for dj in range(-n, n + 1):
            value = direct(z, di, dj, boundary == "periodic")
            expected = value / direct(z, 0, 0, True)
            np.testing.assert_allclose(result[di + m, dj + n], expected, atol=1e-12)


@pytest.mark.parametrize("sigma", [1.5, 2.5])
def test_length_of_smoothed_noise(sigma):
    # Noise smoothed by a Gaussian: C(d) = exp(-d^2 / (4 sigma^2)), 1/e at 2 sigma.
    x = wave_fields.noise((60, 48, 48))
    x = scipy.ndimage.gaussian_filter(x, (0, sigma, sigma), mode="wrap")
    result = waves.spatial_autocorrelation(x)
    length = waves.correlation_length(result.distance, result.radial)
    np.testing.assert_allclose(length, 2 * sigma, rtol=0.05)
    edges = waves.spatial_autocorrelation(x[:, :40, :40], boundary="open")
    length = waves.correlation_length(edges.distance, edges.radial)
    np.testing.assert_allclose(length, 2 * sigma, rtol=0.1)


def test_plane_wave_and_independent_noise():
    k = wave_fields.torus_vector(0, 1)
    result = waves.spatial_autocorrelation(wave_fields.plane_wave(k))
    middle = result.correlation[result.correlation.shape[0] // 2]
    lags = np.arange(len(middle)) - len(middle) // 2
    np.testing.assert_allclose(middle, np.cos(k[1] * lags), atol=1e-12)
    result = waves.spatial_autocorrelation(wave_fields.noise((500, 12, 16)))
    assert result.distance[0] == 0 and result.radial[0] == 1
    assert np.abs(result.radial[1:]).max() < 0.02
    nothing = waves.spatial_autocorrelation(np.ones((9, 4, 4)))
    assert np.isnan(nothing.correlation).all()


def test_temporal_correlation_of_an_autoregressive_process():
    # x(t) = a x(t-1) + noise: C(n) = a^n, 1/e at -1 / log a.
    x = np.zeros((3000, 8, 8))
    noise = wave_fields.noise(x.shape)
    for t in range(1, len(x)):
        x[t] = 0.9 * x[t - 1] + noise[t]
    result = waves.temporal_autocorrelation(x)
    np.testing.assert_allclose(result[:20], 0.9 ** np.arange(20), atol=0.03)
    length = waves.correlation_length(np.arange(len(result)), result)
    np.testing.assert_allclose(length, -1 / np.log(0.9), rtol=0.05)


def test_temporal_correlation_is_the_mean_over_its_pairs():
    x = wave_fields.noise((21, 2, 3)) + 2
    x[4, 1, 1] = np.nan
    z = (x - x.mean(axis=0)).reshape(21, -1)[:, [0, 1, 2, 3, 5]]
    expected = [np.mean(z[: 21 - n] * z[n:]) / np.mean(z**2) for n in range(11)]
    np.testing.assert_allclose(waves.temporal_autocorrelation(x), expected)
    assert np.isnan(waves.temporal_autocorrelation(np.ones((9, 2, 2)))).all()


def test_length_by_interpolation():
    distance = np.array([0.0, 2, 4])
    e = np.exp(-1)
    assert waves.correlation_length(distance, np.array([1, e + 0.1, e - 0.1])) == 3
    assert np.isnan(waves.correlation_length(distance, np.array([1, 0.9, 0.8])))
    assert np.isnan(waves.correlation_length(distance, np.full(3, np.nan)))


def test_mistakes_are_named():
    for call, words in [
        (lambda: waves.spatial_autocorrelation(np.ones((3, 4))), "height, width"),
        (lambda: waves.temporal_autocorrelation(np.ones((3, 4))), "height, width"),
        (lambda: waves.correlation_length(np.ones(3), np.ones(4)), "one length"),
    ]:
        with pytest.raises(UserError, match=words):
            call()

"""Readouts of a time series against NumPy's transform, in pieces and at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import readouts
from nwm_jax.core.layouts import IMAGES


def run(name, series, pieces, basis=None):
    """`series` ``[T, N, H, W, C]`` added in pieces of these lengths."""
    steps = len(series)
    gathered = readouts.start(name, steps, series[0], basis)
    begin = 0
    for length in pieces:
        part = series[begin : begin + length]
        gathered = readouts.add(name, steps, gathered, part, begin, basis)
        begin += length
    return readouts.finish(name, IMAGES, gathered)


def expected(name, series, basis):
    if name == "last":
        return series[-1]
    if name == "mean_time":
        return series.mean(axis=0)
    if name == "max_time":
        return series.max(axis=0)
    rows = basis if name == "linear" else None
    if name == "fft":
        result = np.abs(np.fft.rfft(series, axis=0))
    else:
        result = np.einsum("kt,t...->k...", rows, series)
    return np.moveaxis(result, 0, -2).reshape(*series.shape[1:-1], -1)


@pytest.mark.parametrize("steps", (10, 7))
@pytest.mark.parametrize("name", readouts.READOUTS)
def test_in_pieces_as_at_once(name, steps):
    rng = np.random.default_rng(0)
    series = rng.standard_normal((steps, 2, 1, 3, 2))
    bins = steps // 2 + 1
    basis = rng.standard_normal((bins, steps)) if name == "linear" else None
    with jax.enable_x64(True):
        series_ = jnp.asarray(series)
        wanted = expected(name, series, basis)
        basis = None if basis is None else jnp.asarray(basis)
        for pieces in ((steps,), (3, 3, steps - 6)):
            result = run(name, series_, pieces, basis)
            np.testing.assert_allclose(result, wanted, atol=1e-12)
        assert result.shape[-1] == readouts.num_features(name, steps, 2)


def test_a_sine_is_in_one_bin():
    t = np.arange(100)
    series = (0.5 + np.sin(2 * np.pi * 7 * t / 100)).reshape(-1, 1, 1, 1, 1)
    with jax.enable_x64(True):
        result = np.ravel(run("fft", jnp.asarray(series), (100,)))
    assert result.shape == (51,)
    assert result[[0, 7]] == pytest.approx([50, 50], abs=1e-12)
    assert np.delete(result, [0, 7]).max() < 1e-12


def test_the_magnitude_of_nothing_has_a_gradient():
    zero = jnp.zeros(2)
    value, gradients = jax.value_and_grad(
        lambda x: readouts.magnitude(x, x).sum(), has_aux=False
    )(zero)
    assert value == 0
    np.testing.assert_array_equal(gradients, 0)
    gradient = jax.grad(lambda x: readouts.magnitude(x, 4.0))(3.0)
    assert float(gradient) == pytest.approx(0.6)

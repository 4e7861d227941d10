"""Spread and reach of the initial weights."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import gated, init, oscillator, oscillator_init
from nwm_jax.errors import UserError


def test_linear() -> None:
    for shape in [(400, 300), (3, 3, 64, 200)]:
        weights = init.linear(jax.random.key(0), shape)
        fan_in = np.prod(shape[:-1])
        assert weights.dtype == jnp.float32
        assert abs(float(weights.std() * fan_in**0.5) - 0.8796) < 0.005
        assert abs(float(weights.mean() * fan_in**0.5)) < 0.01
        assert 1.99 < float(jnp.abs(weights).max() * fan_in**0.5) <= 2.0 + 1e-5


def test_gru() -> None:
    params = gated.init_gru(jax.random.key(1), 220, 250)
    for weights, fan_in in [(params.w_i, 220), (params.w_h, 250)]:
        assert weights.shape == (fan_in, 750)
        assert abs(float(weights.std() * fan_in**0.5) - 1.0) < 0.005
        assert 2.2 < float(jnp.abs(weights).max() * fan_in**0.5) <= 2.2737
    assert not params.b.any()


def test_other_gated() -> None:
    lstm = gated.init_lstm(jax.random.key(2), 150, 250)
    assert lstm.w.shape == (400, 1000)
    assert abs(float(lstm.w.std() * 400**0.5) - 0.8796) < 0.005
    vanilla = gated.init_vanilla(jax.random.key(3), 400, 400)
    for weights in (vanilla.w_i, vanilla.w_h):
        assert abs(float(weights.std() * 20) - 0.8796) < 0.005
    assert not jnp.array_equal(vanilla.w_i, vanilla.w_h)


@pytest.mark.parametrize("topology", ["ring", "torus"])
def test_kernels(topology: str) -> None:
    hparams = oscillator.OscillatorHParams(
        topology, (4, 4), channels=200, input_channels=200
    )
    params = oscillator.init_params(jax.random.key(4), hparams)
    kernels = (params.coupling_x, params.coupling_v, params.forcing)
    for kernel in kernels:
        assert kernel.size >= 1e5
        assert abs(float(kernel.mean()) - 1 / 9) < 0.002
        assert abs(float(kernel.std()) - 0.08796) < 0.001
        assert 0.199 < float(jnp.abs(kernel - 1 / 9).max()) <= 0.2 + 1e-6
    assert not jnp.array_equal(kernels[0], kernels[1])


def test_sizes() -> None:
    counts = {
        ("torus", (23, 23)): 559,
        ("ring", (23, 23)): 541,
        ("dense", (529,)): 840_055,
    }
    for (topology, size), count in counts.items():
        hparams = oscillator.OscillatorHParams(topology, size)
        params = jax.eval_shape(
            lambda hparams=hparams: oscillator.init_params(jax.random.key(5), hparams)
        )
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_dense_matrices_and_scalars() -> None:
    hparams = oscillator.OscillatorHParams("dense", (324,))
    params = oscillator.init_params(jax.random.key(5), hparams)
    assert abs(float(params.coupling_x.std() * 18) - 0.8796) < 0.005
    assert not params.bias.any()
    np.testing.assert_allclose(params.dt, -1.95, rtol=1e-6)
    result = oscillator.constants(hparams, params)
    np.testing.assert_allclose(result["dt"], 0.12455334, atol=1e-7)
    assert float(result["gamma"]) == 1.0 and float(result["alpha"]) == 0.5
    fixed = oscillator.OscillatorHParams("dense", (4,), learned=(), gamma=2.0)
    params = oscillator.init_params(jax.random.key(5), fixed)
    assert params.dt is None and params.gamma is None and params.alpha is None
    assert oscillator.constants(fixed, params)["gamma"] == 2.0


def keys() -> Iterator[jax.Array]:
    return map(
        jax.random.fold_in, itertools.repeat(jax.random.key(6)), itertools.count()
    )


def test_layers() -> None:
    """Kernel and bias of the three programs, by the spread of 3 x 3 kernels."""
    stream, shape = keys(), (3, 3, 16, 200)
    limit = 1 / 12  # 144 numbers meet in one sum
    kernel, bias = init.layer("torch", stream.__next__, shape)
    assert bias.shape == (200,) and float(jnp.abs(bias).max()) <= limit
    assert abs(float(kernel.std()) / (limit / 3**0.5) - 1) < 0.01
    kernel, bias = init.layer("benchmark", stream.__next__, shape)
    assert abs(float(kernel.std()) / limit - 0.8796) < 0.01 and not bias.any()
    kernel, bias = init.layer("he", stream.__next__, shape)
    assert abs(float(kernel.std()) / (2**0.5 * limit) - 1) < 0.01 and not bias.any()
    assert init.layer("torch", stream.__next__, shape, bias=False)[1] is None
    with pytest.raises(UserError, match="unknown init 'glorot'"):
        init.layer("glorot", stream.__next__, shape)


def test_first_weights_of_oscillators_are_refused_where_they_make_no_sense() -> None:
    dense = oscillator.OscillatorHParams("dense", (4,))
    with pytest.raises(UserError, match="take a ring or a torus"):
        oscillator_init.draw("constant", keys().__next__, dense)
    with pytest.raises(UserError, match="unknown init 'zeros'"):
        oscillator_init.draw("zeros", keys().__next__, dense)
    with pytest.raises(UserError, match="taps 'next' are for one channel on rings"):
        oscillator.OscillatorHParams("torus", (4, 4), taps="next")

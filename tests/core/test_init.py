"""Spread and reach of the initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import gated, init, oscillator


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
    found = oscillator.constants(hparams, params)
    np.testing.assert_allclose(found["dt"], 0.12455334, atol=1e-7)
    assert float(found["gamma"]) == 1.0 and float(found["alpha"]) == 0.5
    fixed = oscillator.OscillatorHParams("dense", (4,), learned=(), gamma=2.0)
    params = oscillator.init_params(jax.random.key(5), fixed)
    assert params.dt is None and params.gamma is None and params.alpha is None
    assert oscillator.constants(fixed, params)["gamma"] == 2.0

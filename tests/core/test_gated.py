"""GRU, LSTM and the plain network: numbers of the original program, and gradients."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import gated, unroll
from tests.helpers import numerics

INPUT = np.array([[0.5, -1.0]], np.float32)
STATE = np.array([[0.2, -0.4, 0.6]], np.float32)


def gru() -> gated.GRUParams:
    return gated.GRUParams(
        numerics.fill((2, 9), 0), numerics.fill((3, 9), 1), numerics.fill((9,), 2)
    )


def lstm() -> gated.LSTMParams:
    return gated.LSTMParams(numerics.fill((5, 12), 0), numerics.fill((12,), 2))


def vanilla() -> gated.VanillaParams:
    return gated.VanillaParams(
        numerics.fill((2, 3), 0),
        numerics.fill((3,), 1),
        numerics.fill((3, 3), 2),
        numerics.fill((3,), 3) + 0.5,
    )


def test_gru_number() -> None:
    params = gru()
    h = gated.gru_step(params, STATE, gated.gru_drive(params, INPUT))
    np.testing.assert_allclose(h[0], [0.0862761, -0.5527020, 0.3430354], atol=2e-5)


@pytest.mark.parametrize("remat", [0, 3])
def test_gradients_of_many_gru_steps_are_those_of_single_ones(remat: int) -> None:
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        params = gated.GRUParams(
            *(jnp.asarray(rng.normal(size=s) / 2) for s in ((2, 12), (4, 12), 12))
        )
        h, inputs = jnp.asarray(rng.normal(size=(5, 4))), rng.normal(size=(5, 7, 2))

        def loss(params, h, scan):
            drives = gated.gru_drive(params, inputs)
            if scan:
                scan = functools.partial(gated.gru_scan, params)
                result = unroll.unroll_scan(scan, h, drives, remat=remat)
            else:
                step = functools.partial(gated.gru_step, params)
                result = unroll.unroll(step, h, drives)
            return sum(jnp.sum(jnp.sin(2 * each)) for each in result)

        slope = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)
        together, single = (jax.tree.leaves(slope(params, h, s)) for s in (True, False))
        for one, other in zip(together, single, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_lstm_number() -> None:
    params = lstm()
    c = np.array([[0.1, 0.2, -0.3]], np.float32)
    h, c = gated.lstm_step(
        params, gated.LSTMState(STATE, c), gated.lstm_drive(params, INPUT)
    )
    np.testing.assert_allclose(h[0], [-0.0136386, -0.0363098, 0.0219126], atol=2e-5)
    np.testing.assert_allclose(c[0], [-0.0269902, -0.0593670, 0.0617188], atol=2e-5)


def test_vanilla_against_numpy() -> None:
    params = vanilla()
    result = gated.vanilla_step(params, STATE, gated.vanilla_drive(params, INPUT))
    expected = np.maximum(
        INPUT @ params.w_i + params.b_i + STATE @ params.w_h + params.b_h, 0.0
    )
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert (expected > 0).any()


@pytest.mark.parametrize(
    ("init", "drive", "step", "start"),
    [
        (gated.init_gru, gated.gru_drive, gated.gru_step, lambda z: z),
        (
            gated.init_lstm,
            gated.lstm_drive,
            gated.lstm_step,
            lambda z: gated.LSTMState(z, z),
        ),
        (gated.init_vanilla, gated.vanilla_drive, gated.vanilla_step, lambda z: z),
    ],
    ids=["gru", "lstm", "vanilla"],
)
def test_gradients_of_twenty_steps(
    init: Callable, drive: Callable, step: Callable, start: Callable
) -> None:
    with jax.enable_x64(True):
        params = numerics.to_float64(init(jax.random.key(0), 3, 4))
        # Biases away from zero, so that the plain network has units that live.
        params = jax.tree.map(lambda a: a + 0.3 if a.ndim == 1 else a, params)
        inputs = numerics.to_float64(numerics.fill((2, 20, 3), 0))

        def loss(tree: tuple) -> jax.Array:
            params, inputs = tree
            state, states = unroll.unroll(
                lambda s, d: step(params, s, d),
                start(jnp.zeros((2, 4))),
                drive(params, inputs),
            )
            return sum(jnp.sum(s**2) for s in jax.tree.leaves((state, states)))

        numerics.check_gradients(loss, (params, inputs))

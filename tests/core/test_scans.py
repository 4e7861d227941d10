"""Scans with gradients of their own: equal to the plain formulation, for any caller."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import oscillator, wave
from nwm_jax.core.oscillator import OscillatorHParams, OscillatorState
from nwm_jax.core.wave import WaveHParams
from nwm_jax.errors import UserError

STEPS = 6


def random_tree(tree, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: 0.4 * rng.standard_normal(a.shape), tree)


def waves(activation="tanh", **changes):
    hparams = WaveHParams(
        **{"topology": "ring", "units": 6, "inputs": 2, "channels": 3}
        | {"activation": activation}
        | changes
    )
    state = random_tree(jnp.zeros((4, *hparams.field_shape)), 1)
    params = random_tree(wave.init_params(jax.random.key(0), hparams))
    return wave.run, hparams, params, state


def oscillators(topology, activation="tanh", size=(4, 6), **changes):
    hparams = OscillatorHParams(
        **{"topology": topology, "size": size, "channels": 3, "input_channels": 2}
        | {"activation": activation, "forcing": "dense", "learned": ()}
        | changes
    )
    state = OscillatorState(*random_tree([jnp.zeros((4, *hparams.field_shape))] * 2, 1))
    params = random_tree(oscillator.init_params(jax.random.key(0), hparams))
    return oscillator.run, hparams, params, state


def last_position(last, states):
    return jax.tree.leaves(last)[0]


def all_positions(last, states):
    return jax.tree.leaves(states)[0]


def everything(last, states):
    return jnp.concatenate([jnp.ravel(a) for a in jax.tree.leaves((last, states))])


def gradients(model, used, implementation, remat=0):
    """Loss and gradients, at the weights, the first state and the inputs, in float64."""
    run, hparams, params, state = model

    def loss(params, state, inputs):
        out = run(
            hparams, params, state, inputs, remat=remat, implementation=implementation
        )
        return jnp.mean(jnp.sin(3 * used(*out)))

    with jax.enable_x64(True):
        inputs = np.random.default_rng(2).standard_normal((4, STEPS, 2))
        arguments = jax.tree.map(jnp.asarray, (params, state, inputs))
        result = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(*arguments)
        return jax.device_get(result)


def assert_equal(model, used, remat=0):
    result = gradients(model, used, "auto", remat)
    expected = gradients(model, used, "xla")
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for ours, plain in zip(
        jax.tree.leaves(result), jax.tree.leaves(expected), strict=False
    ):
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, plain, rtol=1e-10, atol=1e-13)
    assert all(np.any(g) for g in jax.tree.leaves(result))


USES = [last_position, all_positions, everything]


@pytest.mark.parametrize(
    ("activation", "used"), list(zip(["relu", "tanh", "identity"], USES, strict=False))
)
def test_waves_equal_the_plain_formulation(activation, used):
    assert_equal(waves(activation), used)


@pytest.mark.parametrize(
    "changes", [{"kernel_size": 5}, {"kernel_size": 1}, {"units": 7}, {"channels": 1}]
)
def test_rings_of_any_size(changes):
    assert_equal(waves(**changes), everything)


@pytest.mark.parametrize("used", USES)
def test_oscillators_equal_the_plain_formulation(used):
    assert_equal(oscillators("torus"), used)
    if used is everything:
        assert_equal(oscillators("ring"), used)


@pytest.mark.parametrize(
    "changes", [{"activation": "relu"}, {"size": (5, 7)}, {"kernel_size": 1}]
)
def test_tori_of_any_kind(changes):
    assert_equal(oscillators("torus", **changes), everything)


@pytest.mark.parametrize("remat", [1, 4])
def test_rematerialisation_changes_nothing(remat):
    assert_equal(waves(), last_position, remat)
    assert_equal(oscillators("torus"), everything, remat)


def test_learned_constants_have_gradients():
    """The scan of fixed constants leaves those that learn theirs alone."""
    run, hparams, params, state = oscillators("torus", learned=("dt", "gamma", "alpha"))
    params = params._replace(
        dt=np.array(-2.0), gamma=np.array(1.0), alpha=np.array(0.5)
    )
    model = run, hparams, params, state
    loss, (params, _, _) = gradients(model, last_position, "auto")
    assert np.isfinite(loss) and params.dt and params.gamma and params.alpha


def test_nothing_but_the_state_of_a_step_is_kept():
    """And with rematerialisation memory grows as the square root of the steps."""
    run, hparams, params, state = waves(units=32)
    params = jax.tree.map(np.float32, params)
    state = state.astype(np.float32)

    def memory(steps, remat):
        inputs = np.ones((4, steps, 2), np.float32)

        def loss(params):
            return run(hparams, params, state, inputs, remat=remat)[0].sum()

        compiled = jax.jit(jax.grad(loss)).lower(params).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(400, 0) < 1.5 * 400 * state.nbytes
    # Sixteen times the steps, four times the memory.
    assert memory(1600, 40) < 5 * memory(100, 10)


def test_unknown_implementations_are_refused():
    run, hparams, params, state = waves()
    with pytest.raises(UserError, match="unknown implementation 'fast'; choose from"):
        run(hparams, params, state, np.ones((4, 2, 2)), implementation="fast")

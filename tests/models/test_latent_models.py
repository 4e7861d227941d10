"""Latent models: sizes, losses, what they see, and that they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.models import ForecastModel, ReversibleModel, hgn_conv
from nwm_jax.models.forecasting import build
from nwm_jax.models.names import LATENT
from nwm_jax.modules import functional
from tests.helpers.latent_configs import BOTH_WAYS, config, make, shapes


def clip(model, side=8, batch=4):
    shape = (batch, model.train_length, side, side, 3)
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", LATENT)
def test_they_are_forecasters(name):
    # The adaptive solver takes seconds to trace.
    solver = {"integrator": "rk4"} if name == "ode" else {}
    model = shapes(name, side=32, **solver)
    assert isinstance(model, ForecastModel)
    assert isinstance(model, ReversibleModel)
    assert model.reversible == (name != "rgn")
    graphdef, params, state = functional.split(model)

    def run(params, state, images):
        model = functional.merge(graphdef, params, state)
        loss, metrics = model.loss(images[:, : model.train_length], jax.random.key(0))
        assert functional.split(model)[2].keys() == state.keys()
        states, variance, pairing = model.latents(images)
        assert pairing == ("" if name in ("ode", "rgn") else "halves")
        means = model.reconstruct(images)
        return loss, metrics, states, variance, means, model.forecast(images[:, :4], 5)

    images = jax.ShapeDtypeStruct((2, model.train_length + 4, 32, 32, 3), np.float32)
    loss, metrics, states, variance, means, ahead = jax.eval_shape(
        run, params, state, images
    )
    assert {loss.shape, *(metric.shape for metric in metrics.values())} == {()}
    assert {"mse", "relative_mse", "kl"} < metrics.keys()
    frames = model.train_length + (4 if model.reversible else 2)
    assert means.shape == (2, frames, 32, 32, 3)
    assert states.shape == (2, frames, variance.shape[-1])
    assert ahead.shape == (2, 5, 32, 32, 3)


def losses(model, images, steps=3, rate=0.3):
    """Losses of a few steps of gradient descent with one and the same sample."""
    graphdef, params, state = functional.split(model)

    @jax.jit
    def step(params, state):
        def loss(params):
            model = functional.merge(graphdef, params, state)
            value, metrics = model.loss(images, jax.random.key(1))
            return value, (metrics, functional.split(model)[2])

        (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        params = jax.tree.map(lambda p, g: p - rate * g, params, gradient)
        return value, rest, params, gradient

    values = []
    for _ in range(steps):
        value, (metrics, state), params, gradient = step(params, state)
        values.append(float(value))
        for leaf in jax.tree.leaves(gradient):
            assert np.isfinite(leaf).all()
    return values, metrics, state, gradient


MODES = [
    ("hgn", BOTH_WAYS),
    *[
        pytest.param(name, changes, marks=pytest.mark.slow)
        for name, changes in (
            ("hgn", {}),
            ("hgn", {"split": "include_inference"}),
            ("lgn", BOTH_WAYS),
            ("ode", BOTH_WAYS),
            ("ode", {"integrator": "rk4"}),
            ("rgn", {"split": "no_overlap"}),
            ("rgn", {"residual": False}),
        )
    ],
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), MODES)
def test_a_few_steps_lower_the_loss(name, changes):
    model = make(name, **changes)
    values, metrics, state, gradient = losses(model, clip(model))
    assert values[2] < values[1] < values[0]
    assert state == {}
    for network in ("encoder", "dynamics", "decoder"):
        assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient[network]))
    kl = metrics["kl"]
    constant = 0.5 * np.log(np.pi)
    np.testing.assert_allclose(values[2], metrics["mse"] + constant + kl, rtol=1e-6)
    assert 0 <= metrics["small_latents"] <= 4


@pytest.fixture(scope="module")
def hgn():
    return make("hgn", **BOTH_WAYS)


@pytest.fixture(scope="module")
def run(hgn):
    """Forward, backward and forecast of a clip, compiled once."""

    @jax.jit
    def run(images):
        return (
            hgn.reconstruct(images),
            hgn.reconstruct_backward(images),
            hgn.forecast(images[:, :5], 4),
            hgn.states(images),
        )

    return run


def blank(images, frames):
    images = images.copy()
    images[:, frames] = 0
    return images


def test_what_a_roll_out_sees(hgn, run):
    images = clip(hgn)
    forward, backward, _, _ = run(images)
    last = run(blank(images, slice(3, None)))
    np.testing.assert_array_equal(forward, last[0])
    assert np.abs(backward - last[1]).max() > 1e-4
    first = run(blank(images, slice(None, -3)))
    np.testing.assert_array_equal(backward, first[1])
    assert np.abs(forward - first[0]).max() > 1e-4


def test_backward_and_forward_meet(hgn, run):
    """Nine frames of which the same three are observed at both ends of two clips."""
    images = clip(hgn)
    forward, _, _, _ = run(images)
    shifted = np.concatenate([images[:, 3:], images[:, :3]], axis=1)
    _, backward, _, _ = run(shifted)
    np.testing.assert_allclose(forward[:, :3], backward[:, -3:], atol=1e-6)


def test_forecast_continues_the_last_observed_frames(hgn, run):
    images = clip(hgn)
    _, _, ahead, _ = run(images)
    moved = np.concatenate([images[:, 2:], images[:, :2]], axis=1)
    forward, _, _, _ = run(moved)
    np.testing.assert_allclose(ahead, forward[:, 3:7], atol=1e-6)


def test_the_decoder_sees_positions_only(hgn, run):
    """And the energy of the states is conserved to the integrator's order."""
    images = clip(hgn)
    forward, _, _, states = run(images)
    means = jax.jit(hgn.decoder)(states[..., :2])
    np.testing.assert_allclose(means, forward, atol=1e-6)
    energy = hgn.energy(states)
    np.testing.assert_allclose(energy, energy[:, :1] * np.ones(9), atol=1e-3)


def test_loss_of_a_uniform_error():
    """0.6 where 0.5 is true, Normal(1, 1)^32 against the prior: as the benchmark's."""
    images = np.full((2, 64, 32, 32, 3), 0.5, np.float32)
    model = shapes("rgn", num_observed=5, num_target=60)
    model.posterior = lambda observed: (jnp.ones((2, 32)), jnp.ones((2, 32)))
    model._decode = lambda states: jnp.full((2, 60, 32, 32, 3), 0.6)
    model.dynamics.trajectory = lambda *_: None
    loss, metrics = jax.jit(lambda x: model.loss(x, jax.random.key(0)))(images)
    np.testing.assert_allclose(metrics["mse"], 0.01, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], 16 / 184_320, rtol=1e-6)
    np.testing.assert_allclose(loss, 0.5824517, rtol=1e-6)
    assert metrics["small_latents"] == 0


def test_clear_errors(hgn):
    images = clip(hgn)
    with pytest.raises(UserError, match="have 8 frames, but this model needs 9"):
        hgn.loss(images[:, :8], jax.random.key(0))
    for method in (hgn.reconstruct, hgn.reconstruct_backward, hgn.latents):
        with pytest.raises(UserError, match="2 frames, but this model observes 3"):
            method(images[:, :2])
    with pytest.raises(UserError, match="horizon"):
        hgn.forecast(images, 0)
    with pytest.raises(UserError, match="has no energy"):
        shapes("rgn").energy(np.zeros(4))
    with pytest.raises(UserError, match=r"model.latent=5 must be even"):
        shapes("hgn", latent=5)
    with pytest.raises(UserError, match=r"model.latent=1 must be at least 2"):
        shapes("rgn", latent=1)


def test_geco_product():
    """Value and gradients of the original program."""
    result = jax.value_and_grad(hgn_conv.geco_product, (0, 1, 2))(2.0, 0.3, 0.5)
    np.testing.assert_allclose(
        jax.tree.leaves(result), [0.6, -0.5, 0.0, 2.0], rtol=1e-6
    )


@pytest.mark.slow
def test_original_network_learns_its_multiplier():
    """While the error is too large the multiplier grows; the state is its excess."""
    fields = config("hgn_conv")
    raw = jax.jit(
        lambda: build(fields, (32, 32, 3), rngs=nnx.Rngs(0)).raw_multiplier[...]
    )()
    np.testing.assert_allclose(np.log1p(np.exp(raw)), 1.0, rtol=1e-6)
    model = make("hgn_conv", side=32, kappa=0.01)
    model.raw_multiplier.set_value(raw)
    images = clip(model, side=32, batch=2)
    values, metrics, state, gradient = losses(model, images, steps=2)
    excess = metrics["mse"] - 0.01
    np.testing.assert_allclose(state["average"], excess, rtol=1e-6)
    np.testing.assert_allclose(
        values[1], metrics["multiplier"] * excess + metrics["kl"], rtol=1e-6
    )
    assert metrics["multiplier"] > 1.0
    slope = float(gradient["raw_multiplier"])
    raw = np.log(np.expm1(float(metrics["multiplier"])))
    np.testing.assert_allclose(slope, -excess / (1 + np.exp(-raw)), rtol=1e-4)


def test_original_network_flattens_positions_before_momenta():
    model = shapes("hgn_conv", side=32)
    states = np.arange(384.0, dtype=np.float32).reshape(2, 3, 4, 4, 4)
    flat = model._flatten(states)
    assert flat.shape == (2, 3, 64)
    np.testing.assert_array_equal(flat[..., :32], states[..., :2].reshape(2, 3, 32))
    np.testing.assert_array_equal(model._unflatten(flat), states)
    with pytest.raises(UserError, match="at least 32x32"):
        shapes("hgn_conv", side=24)
    with pytest.raises(UserError, match="even channels"):
        shapes("hgn_conv", side=32, latent_channels=3)

"""The forecaster: alignment in time, and what it may not see."""

import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.models import ForecastModel
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules import functional
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell
from nwm_jax.modules.stacked import StackedCell


def make(cell, num_observed=3, num_ic=2, **options):
    """A forecaster on 8x8 images."""
    return Forecaster(
        cell,
        (8, 8, 3),
        num_observed=num_observed,
        num_ic=num_ic,
        conv_channels=4,
        conv="xla",
        rngs=nnx.Rngs(1),
        **options,
    )


CELLS = {
    # 3x4 oscillators with the initial-condition network.
    "nwm2d": lambda: make(NWM2DCell((3, 4), rngs=nnx.Rngs(0))),
    # Two layers of LSTM from zeros.
    "lstm": lambda: make(
        StackedCell("lstm", 4, (5, 4), rngs=nnx.Rngs(0)), num_ic=0, decode="output"
    ),
}


@pytest.fixture(scope="module", params=CELLS)
def tiny(request):
    return CELLS[request.param]()


@jax.jit
def reconstruct(model, images):
    return model.reconstruct(images)


@jax.jit
def predict(model, images):
    return model.predict(images)


def clip(frames=7, batch=2, size=8):
    return jax.random.uniform(jax.random.key(0), (batch, frames, size, size, 3))


def test_untrained_loss_is_that_of_a_grey_image(tiny):
    images = clip()
    loss, metrics = jax.jit(Forecaster.loss)(tiny, images, jax.random.key(0))
    grey = jnp.mean(jnp.square(images[:, 1:] - 0.5))
    np.testing.assert_allclose(loss, grey + 0.5723649, rtol=0.02)
    constant = 0.5 * math.log(math.pi)
    np.testing.assert_allclose(metrics["mse"], loss - constant, rtol=1e-5)


def test_roll_out_begins_with_the_teacher_forced_predictions(tiny):
    images = clip()
    predicted = predict(tiny, images[:, :-1])
    rolled = reconstruct(tiny, images)
    assert rolled.shape == (2, 6, 8, 8, 3)
    np.testing.assert_allclose(rolled[:, :3], predicted[:, :3], atol=1e-6)
    assert np.abs(np.asarray(rolled[:, 3:] - predicted[:, 3:])).max() > 0


def test_roll_out_does_not_see_the_frames_that_it_forecasts(tiny):
    images = clip()
    changed = images.at[:, 3:].set(0.0)
    np.testing.assert_array_equal(reconstruct(tiny, images), reconstruct(tiny, changed))


def test_only_the_initial_condition_network_looks_ahead():
    """Frame 1 depends on frame num_ic - 1 through the GRU, and not without it."""
    images = clip()
    changed = images.at[:, 2].set(0.0)
    oscillators = make(CoRNNCell(6, rngs=nnx.Rngs(0)), num_ic=3)
    for model, differs in ((oscillators, True), (CELLS["lstm"](), False)):
        change = predict(model, images)[:, 0] - predict(model, changed)[:, 0]
        assert bool(jnp.any(change != 0)) == differs


def test_training_predicts_every_frame_from_those_before_it():
    """Inputs are frames 0..58, targets 1..59: pixels are frame numbers here."""
    seen = []

    def predict(images):
        seen.append(images)
        return images + 1.0

    frames = jnp.arange(60.0)[None, :, None, None, None]
    clips = jnp.broadcast_to(frames, (2, 60, 8, 8, 3))
    model = types.SimpleNamespace(predict=predict)
    loss, metrics = Forecaster.loss(model, clips)
    np.testing.assert_array_equal(seen[0], clips[:, :59])
    assert metrics["mse"] == 0.0
    np.testing.assert_allclose(loss, 0.5723649, rtol=1e-6)


def test_keeps_the_protocol_of_forecast_models(tiny):
    assert isinstance(tiny, ForecastModel)
    assert (tiny.num_observed, tiny.train_length, tiny.reversible) == (3, 60, False)


def test_means_are_decoded_from_the_latents(tiny):
    images = clip()
    latents = jax.jit(Forecaster.latents)(tiny, images)
    assert latents.variance is None
    means = jax.jit(lambda model, z: model.decoder(z))(tiny, latents.z)
    np.testing.assert_allclose(means, reconstruct(tiny, images), atol=1e-6)
    stacked = isinstance(tiny.cell, StackedCell)
    assert latents.pairing == ("" if stacked else "interleaved")


def test_decodes_positions_only():
    """The velocities move the positions, but the decoder sees 12 numbers, not 24."""
    model = make(NWM2DCell((3, 4), rngs=nnx.Rngs(0)), decode="output")
    assert model.decoder.project.kernel.shape[0] == 12
    images = clip()
    means, states = jax.jit(lambda model, images: model.roll_out(images))(model, images)
    decode = jax.jit(lambda model, x: model.decoder(x.reshape(2, 6, 12)))
    np.testing.assert_allclose(means, decode(model, states.x), atol=1e-6)
    latents = jax.eval_shape(Forecaster.latents, model, images)
    assert latents.z.shape == (2, 6, 12)
    assert latents.pairing == ""


def test_forecast_continues_the_roll_out(tiny):
    images = clip()
    forecast = jax.jit(lambda model, seen: model.forecast(seen, 4))
    np.testing.assert_allclose(
        forecast(tiny, images[:, :3]), reconstruct(tiny, images)[:, 2:], atol=1e-6
    )


def test_a_perfect_autoencoder_and_map_forecast_the_trajectory():
    """With exact parts the free roll-out is the trajectory itself, whatever the GRU."""

    class Toy(Forecaster):
        """The state's first number is the image; the true map adds 0.01 a frame."""

        def __init__(self):
            super().__init__(
                CoRNNCell(2, rngs=nnx.Rngs(0)),
                (8, 8, 1),
                num_observed=2,
                num_ic=0,
                conv_channels=2,
                rngs=nnx.Rngs(0),
            )
            self.encoder = lambda images: images[..., 0, 0, :]
            self.decoder = lambda flat: jnp.broadcast_to(
                flat[..., :1, None, None], (*flat.shape[:-1], 8, 8, 1)
            )

        def _drive(self, codes):
            return codes

        def _start(self, codes):
            zeros = jnp.zeros((codes.shape[0], 2))
            return self.cell.unflatten(jnp.concatenate([zeros, zeros], -1))

    toy = Toy()
    toy.cell.step = lambda state, drive: type(state)(
        x=jnp.concatenate([drive + 0.01, drive], -1), v=state.v
    )
    frames = 0.1 + 0.01 * jnp.arange(6.0)
    images = jnp.broadcast_to(frames[None, :, None, None, None], (1, 6, 8, 8, 1))
    np.testing.assert_allclose(toy.reconstruct(images), images[:, 1:], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "shape"), [(NWM1DCell, (3, 4, 1)), (CoRNNCell, (12,))]
)
def test_states_keep_the_shape_of_the_field(kind, shape):
    size = 12 if kind is CoRNNCell else (3, 4)
    model = make(kind(size, rngs=nnx.Rngs(0)), num_observed=2)
    states = jax.eval_shape(Forecaster.states, model, clip(frames=5))
    assert states.shape == (2, 4, *shape)


def test_rematerialisation_changes_nothing():
    images = clip()
    tiny = CELLS["nwm2d"]()
    graphdef, params, state = functional.split(tiny)

    def loss(params, remat):
        model = functional.merge(graphdef, params, state)
        model.remat = remat
        return model.loss(images)[0]

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    plain, remat = gradient(params, 0), gradient(params, 2)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(remat), strict=False):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)


def test_clear_errors():
    cell = CoRNNCell(4, rngs=nnx.Rngs(0))
    tiny = make(cell)
    with pytest.raises(UserError, match="num_observed = 3 needs at least 4"):
        tiny.reconstruct(clip(frames=3))
    with pytest.raises(UserError, match="initial-condition network reads 2"):
        tiny.forecast(clip(frames=1), 3)
    with pytest.raises(UserError, match="horizon"):
        tiny.forecast(clip(frames=3), 0)
    with pytest.raises(UserError, match="multiples of 8"):
        Forecaster(cell, (30, 32, 3), num_observed=2, num_ic=2, rngs=nnx.Rngs(1))
    with pytest.raises(UserError, match="num_observed"):
        make(cell, num_observed=1)
    with pytest.raises(UserError, match="clips of 2 frames are too short"):
        make(cell, train_length=2)
    with pytest.raises(UserError, match=r"unknown decode 'outputs'; .*'output'"):
        make(cell, decode="outputs")

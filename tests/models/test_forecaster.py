"""The forecaster: golden numbers, alignment in time, and what it may not see."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.evaluation import mse
from nwm_jax.interop import physics_inspired_models as originals
from nwm_jax.models.build import build
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules import functional
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell
from nwm_jax.presets import load as load_config
from tests.golden_files import GOLDEN


@pytest.fixture(scope="module", params=["nwm2d", "cornn"])
def golden(request):
    arrays = dict(np.load(GOLDEN / "models" / f"{request.param}.npz"))
    params = {k[7:]: v for k, v in arrays.items() if k.startswith("params/")}
    model = originals.load(params, request.param, num_inference_steps=5)
    return request.param, model, arrays


@pytest.fixture(scope="module")
def tiny():
    """A forecaster of 3x4 cells on 8x8 images, three frames observed."""
    return Forecaster(
        NWM2DCell((3, 4), rngs=nnx.Rngs(0)),
        (8, 8, 3),
        num_observed=3,
        num_ic=2,
        conv_channels=4,
        rngs=nnx.Rngs(1),
    )


@jax.jit
def reconstruct(model, images):
    return model.reconstruct(images)


@jax.jit
def states_of(model, images):
    return model.states(images)


@jax.jit
def predict(model, images):
    return model.predict(images)


def clip(frames=7, batch=2, size=8):
    return jax.random.uniform(jax.random.key(0), (batch, frames, size, size, 3))


def test_roll_out_equals_the_original_program(golden):
    _, model, arrays = golden
    means = np.asarray(reconstruct(model, arrays["images"]))
    want = arrays["reconstruct_mean"]
    signal = np.abs(want[0] - want[1]).max()
    assert means.shape == want.shape
    assert np.abs(means - want).max() <= 1e-3 * signal


def test_states_are_the_originals_positions(golden):
    _, model, arrays = golden
    states = np.asarray(states_of(model, arrays["images"]))
    flat = states.reshape(*states.shape[:2], -1)
    np.testing.assert_allclose(flat, arrays["latents"][..., ::2], atol=1e-5)


def test_losses_and_gradients_equal_the_original_program(golden):
    name, model, arrays = golden
    graphdef, params, state = functional.split(model)
    images = arrays["images"][:, : int(arrays["train_sequence_length"])]

    def loss(params, images):
        return functional.merge(graphdef, params, state).loss(images)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, metrics), gradients = step(params, images)
    np.testing.assert_allclose(value, np.mean(arrays["train_loss"]), rtol=1e-6)
    np.testing.assert_allclose(metrics["mse"], np.mean(arrays["train_l2"]), rtol=1e-5)
    for theirs, ours in originals.names(name).items():
        leaf = gradients
        for key in ours.split("/"):
            leaf = leaf[int(key) if key.isdigit() else key]
        want = arrays[f"grads/{theirs}"]
        error = np.linalg.norm(np.asarray(leaf).reshape(want.shape) - want)
        assert error <= 1e-4 * np.linalg.norm(want), theirs


@pytest.mark.parametrize("segment", ["train", "extrapolation", "full"])
def test_scores_equal_the_original_evaluation(golden, segment):
    _, model, arrays = golden
    length = int(arrays["train_sequence_length"])
    frames = {
        "train": slice(0, length - 1),
        "extrapolation": slice(length - 1, None),
        "full": slice(None),
    }[segment]
    truth = arrays["images"][:, 1:][:, frames]
    errors = mse.frame_errors(reconstruct(model, arrays["images"])[:, frames], truth)
    want = arrays[f"eval/forward_{segment}_l2"]
    np.testing.assert_allclose(np.mean(errors["mse"], axis=1), want, rtol=1e-4)
    units = mse.table_units(np.mean(errors["relative_mse"], axis=1), (32, 32, 3))
    want = arrays[f"eval/forward_{segment}_l2_norm"]
    np.testing.assert_allclose(units, 1e8 * want, rtol=1e-4)


def test_paper_model_has_14823420_parameters():
    config = load_config("pendulum_nwm2d")
    model = nnx.eval_shape(lambda: build(config.model, (32, 32, 3), rngs=nnx.Rngs(0)))
    params = functional.split(model)[1]
    assert functional.count(params) == 14_823_420
    assert functional.count(params["encoder"]) == 4_969_650
    assert functional.count(params["decoder"]) == 4_812_899
    assert functional.count(params["initial"]) == 5_040_312
    assert functional.count(params["cell"]) == 559


@pytest.mark.parametrize(
    ("name", "total", "cell"),
    [("nwm1d", 14_823_402, 541), ("cornn", 15_662_916, 840_055)],
)
def test_parameter_counts_of_the_other_cells(name, total, cell):
    config = load_config(f"pendulum_{name}")
    model = nnx.eval_shape(lambda: build(config.model, (32, 32, 3), rngs=nnx.Rngs(0)))
    params = functional.split(model)[1]
    assert functional.count(params) == total
    assert functional.count(params["cell"]) == cell


def test_untrained_loss_is_that_of_a_grey_image(tiny):
    images = clip()
    loss, metrics = jax.jit(Forecaster.loss)(tiny, images)
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


def test_initial_condition_network_looks_ahead_and_only_it():
    """Frame 1 depends on frame num_ic - 1 through the GRU, and not without it."""
    images = clip()
    changed = images.at[:, 2].set(0.0)
    for num_ic, differs in ((3, True), (0, False)):
        model = Forecaster(
            CoRNNCell(6, rngs=nnx.Rngs(0)),
            (8, 8, 3),
            num_observed=3,
            num_ic=num_ic,
            conv_channels=4,
            rngs=nnx.Rngs(1),
        )
        change = predict(model, images)[:, 0] - predict(model, changed)[:, 0]
        assert bool(jnp.any(change != 0)) == differs


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
    model = Forecaster(
        kind(size, rngs=nnx.Rngs(0)),
        (8, 8, 3),
        num_observed=2,
        num_ic=2,
        conv_channels=2,
        rngs=nnx.Rngs(1),
    )
    assert states_of(model, clip(frames=5)).shape == (2, 4, *shape)


def test_rematerialisation_changes_nothing(tiny):
    images = clip()
    graphdef, params, state = functional.split(tiny)

    def loss(params, remat):
        model = functional.merge(graphdef, params, state)
        model.remat = remat
        return model.loss(images)[0]

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    plain, remat = gradient(params, 0), gradient(params, 2)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(remat)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)


def test_clear_errors(tiny):
    with pytest.raises(UserError, match="num_observed = 3 needs at least 4"):
        tiny.reconstruct(clip(frames=3))
    with pytest.raises(UserError, match="initial-condition network reads 2"):
        tiny.forecast(clip(frames=1), 3)
    with pytest.raises(UserError, match="horizon"):
        tiny.forecast(clip(frames=3), 0)
    with pytest.raises(UserError, match="multiples of 8"):
        Forecaster(
            CoRNNCell(4, rngs=nnx.Rngs(0)),
            (30, 32, 3),
            num_observed=2,
            num_ic=2,
            rngs=nnx.Rngs(1),
        )
    with pytest.raises(UserError, match="num_observed"):
        Forecaster(
            CoRNNCell(4, rngs=nnx.Rngs(0)),
            (8, 8, 3),
            num_observed=1,
            num_ic=2,
            rngs=nnx.Rngs(1),
        )

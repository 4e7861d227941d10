"""The autoregressive models against the numbers of the original program."""

import jax
import numpy as np
import pytest

from nwm_jax.core.image_errors import frame_errors
from nwm_jax.experiments.forecasting import mse
from nwm_jax.interop import physics_inspired_models as originals
from nwm_jax.modules import functional
from tests.helpers.golden_files import GOLDEN


@pytest.fixture(scope="module", params=["nwm2d", "cornn", "ar_lstm"])
def golden(request):
    arrays = dict(np.load(GOLDEN / "models" / f"{request.param}.npz"))
    params = {k[7:]: v for k, v in arrays.items() if k.startswith("params/")}
    model = originals.load(
        params, request.param, num_inference_steps=5, num_target_steps=9
    )
    means, states = jax.jit(model.roll_out)(arrays["images"])
    return request.param, model, arrays, states, means


def test_roll_out_equals_the_original_program(golden):
    *_, arrays, _, means = golden
    want = arrays["reconstruct_mean"]
    signal = np.abs(want[0] - want[1]).max()
    assert means.shape == want.shape
    assert np.abs(means - want).max() <= 1e-4 * signal


def test_states_equal_the_originals_latents(golden):
    name, model, arrays, states, _ = golden
    seen = model.cell.output if name == "ar_lstm" else model.cell.flatten
    np.testing.assert_allclose(seen(states), arrays["latents"], atol=1e-5)


def test_losses_and_gradients_equal_the_original_program(golden):
    name, model, arrays, *_ = golden
    graphdef, params, state = functional.split(model)
    assert model.train_length == int(arrays["train_sequence_length"])
    images = arrays["images"][:, : model.train_length]

    def loss(params, images):
        return functional.merge(graphdef, params, state).loss(images)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, metrics), gradients = step(params, images)
    np.testing.assert_allclose(value, np.mean(arrays["train_loss"]), rtol=1e-6)
    np.testing.assert_allclose(value, np.mean(arrays["train_neg_log_p_x"]), rtol=1e-6)
    np.testing.assert_allclose(metrics["mse"], np.mean(arrays["train_l2"]), rtol=1e-5)
    given = [key[7:] for key in arrays if key.startswith("params/")]
    names = originals.names(name, given)
    assert names.keys() == set(given)
    for theirs, ours in names.items():
        leaf = gradients
        for key in ours.split("/"):
            leaf = leaf[int(key) if key.isdigit() else key]
        want = arrays[f"grads/{theirs}"]
        error = np.linalg.norm(np.asarray(leaf).reshape(want.shape) - want)
        assert error <= 1e-4 * np.linalg.norm(want), theirs


@pytest.mark.parametrize("segment", ["train", "extrapolation", "full"])
def test_scores_equal_the_original_evaluation(golden, segment):
    *_, arrays, _, means = golden
    length = int(arrays["train_sequence_length"])
    frames = {
        "train": slice(0, length - 1),
        "extrapolation": slice(length - 1, None),
        "full": slice(None),
    }[segment]
    truth = arrays["images"][:, 1:][:, frames]
    errors = frame_errors(means[:, frames], truth)
    want = arrays[f"eval/forward_{segment}_l2"]
    np.testing.assert_allclose(np.mean(errors["mse"], axis=1), want, rtol=1e-4)
    units = mse.table_units(np.mean(errors["relative_mse"], axis=1), (32, 32, 3))
    want = arrays[f"eval/forward_{segment}_l2_norm"]
    np.testing.assert_allclose(units, 1e8 * want, rtol=1e-4)

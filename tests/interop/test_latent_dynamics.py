"""The original's latent models: golden roll-outs, posteriors and evaluations."""

import jax
import numpy as np
import pytest
from flax import nnx

from nwm_jax.core.image_errors import frame_errors
from nwm_jax.errors import UserError
from nwm_jax.interop import latent_dynamics
from nwm_jax.interop import physics_inspired_models as originals
from nwm_jax.modules import functional
from tests.helpers.golden_files import GOLDEN
from tests.helpers.latent_configs import BOTH_WAYS, shapes

FILES = {"hgn": "hgn_pp_forward", "ode": "ode_forward"}


def read(model):
    """A golden file; its images are blobs, stored as products."""
    arrays = dict(np.load(GOLDEN / "models" / f"{FILES[model]}.npz"))
    arrays["images"] = np.einsum(
        "bth,btw,btc->bthwc", *(arrays[f"images/{a}"] for a in ("rows", "columns", "colour"))
    )  # fmt: skip
    return arrays


@pytest.fixture(scope="module", params=["hgn", "ode"])
def golden(request):
    """Golden arrays, and what our model makes of the same images."""
    arrays = read(request.param)
    params = {k[7:]: v for k, v in arrays.items() if k.startswith("params/")}
    model = originals.load(params, request.param, num_target_steps=9)

    @jax.jit
    def run(images):
        states, variance, _ = model.latents(images)
        means = {
            # What `reconstruct` does with them, without solving twice.
            "forward": model.decoder(model.dynamics.visible(states)),
            "backward": model.reconstruct_backward(images),
        }
        errors = {way: frame_errors(m, images) for way, m in means.items()}
        return {
            "means": means["forward"],
            "errors": errors,
            "latents": states,
            "variance": variance,
            "posterior": model.posterior(images[:, :5]),
        }

    assert model.train_length == int(arrays["train_sequence_length"])
    return arrays, jax.tree.map(np.asarray, run(arrays["images"]))


def test_roll_out_equals_the_original_program(golden):
    """On every fourth pixel of every fourth row; the evaluations see all of them."""
    arrays, result = golden
    want = arrays["reconstruct_mean"]
    signal = np.abs(want[0] - want[1]).max()
    assert result["means"].shape == arrays["images"].shape
    assert np.abs(result["means"][:, :, ::4, ::4] - want).max() <= 1e-4 * signal


def test_posterior_and_states_equal_the_original_program(golden):
    arrays, result = golden
    mean, stddev = result["posterior"]
    np.testing.assert_allclose(mean, arrays["q_mean"], atol=1e-5)
    np.testing.assert_allclose(stddev, arrays["q_stddev"], rtol=1e-5)
    np.testing.assert_allclose(result["variance"], arrays["q_stddev"] ** 2, rtol=1e-5)
    np.testing.assert_allclose(result["latents"], arrays["latents"], atol=1e-5)


def test_evaluations_equal_the_original_program(golden):
    """Targets begin with the last observed frame, or end with the first one.

    Trained on frames 4..12 of 19: the rest of each direction is extrapolation.
    """
    arrays, result = golden
    segments = {
        "forward": {"train": range(4, 13), "extrapolation": range(13, 19)},
        "backward": {"train": range(6, 15), "extrapolation": range(6)},
    }
    for way, parts in segments.items():
        parts["full"] = [frame for part in parts.values() for frame in part]
        errors = result["errors"][way]
        for segment, frames in parts.items():
            want = f"eval/{way}_{segment}_l2"
            part = {k: np.mean(e[:, np.array(frames)], 1) for k, e in errors.items()}
            np.testing.assert_allclose(part["mse"], arrays[want], rtol=1e-4)
            relative = part["relative_mse"] / 3072
            np.testing.assert_allclose(relative, arrays[f"{want}_norm"], rtol=1e-4)


@pytest.mark.parametrize("name", latent_dynamics.MODELS)
def test_names_sizes_and_options_of_every_model(name):
    """A model's own arrays, under the original's names, give the same model."""
    changes = {} if name == "rgn" else BOTH_WAYS
    abstract = shapes(name, side=16, dt=0.25, **changes)
    params = functional.split(abstract)[1]
    leaves = jax.tree_util.tree_leaves_with_path(params)
    ours = {"/".join(str(k.key) for k in p): np.empty(a.shape) for p, a in leaves}
    result, options = latent_dynamics.identify(abstract)
    assert result == name
    assert options["num_target_steps"] == 6 and options["num_inference_steps"] == 3
    names = latent_dynamics.names(name, ours, options)
    assert sorted(names.values()) == sorted(ours)
    back = nnx.eval_shape(lambda: latent_dynamics.build(name, ours, options))
    assert functional.split(back)[1] == params
    assert latent_dynamics.identify(back) == (name, options)
    assert back.clip == abstract.clip
    last = {"rgn": "Discrete/~/Net", "ode": "ODE/~/Net", "lgn": "Physics/~/MatrixNet"}
    assert f"{last.get(name, 'Physics/~/KineticNet')}/~/ff_2:w" in names


def test_integrators_by_either_name():
    for model, theirs, ours in (
        ("hgn", None, "leapfrog"),
        ("lgn", "rk2", "midpoint"),
        ("hgn", "adaptive", "dopri5"),
        ("ode", "rk4", "rk4"),
    ):
        options = latent_dynamics.OPTIONS | {"integrator": theirs}
        assert latent_dynamics.settle(model, options)["integrator"] == ours


def test_frames_that_do_not_fit_the_encoder():
    arrays = read("hgn")
    params = {k[7:]: v for k, v in arrays.items() if k.startswith("params/")}
    with pytest.raises(UserError, match=r"has 15 inputs, expected 12 .* = 4 frames"):
        originals.load(params, "hgn", num_inference_steps=4)

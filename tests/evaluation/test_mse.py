"""Errors of forecasts: which frames count, and the numbers of the original program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.evaluation import mse
from nwm_jax.interop import physics_inspired_models as originals
from tests.evaluation import fakes
from tests.golden_files import GOLDEN

# Training clip, means that are missing at its start, runs backward, scored frames.
ALIGNMENT = {
    "autoregressive": (60, 1, False, range(60, 120)),
    "rgn": (64, 4, False, range(64, 124)),
    "overlap_by_one": (64, 0, True, range(64, 124)),
    "no_overlap": (65, 0, True, range(65, 125)),
    "include_inference": (65, 0, True, range(65, 125)),
}


def summarise(model, images, horizon):
    mean_image = jnp.ones((len(images), *images.shape[2:]))
    scores = mse.score(model, images, mean_image)
    scores = {name: np.asarray(values) for name, values in scores.items()}
    return mse.summarise(scores, horizon, images.shape[2:])


def test_a_uniform_error():
    """0.6 where 0.5 is true: squared 0.01, relative 0.04, 1302.0833 table units."""
    errors = mse.frame_errors(
        jnp.full((60, 32, 32, 3), 0.6), jnp.full((60, 32, 32, 3), 0.5)
    )
    np.testing.assert_allclose(errors["mse"], 0.01, rtol=1e-5)
    np.testing.assert_allclose(errors["relative_mse"], 0.04, rtol=1e-5)
    units = mse.table_units(errors["relative_mse"].mean(), (32, 32, 3))
    np.testing.assert_allclose(1e-8 * units, 1.3020833e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ALIGNMENT)
def test_the_frames_that_are_scored(kind):
    train_length, missing, reversible, scored = ALIGNMENT[kind]
    model = fakes.Counting(train_length, missing, reversible)
    images = np.ones((2, train_length + 60, 1, 1, 3), np.float32)
    summary = summarise(model, images, 60)
    forward = np.mean((np.array(scored) / 1000) ** 2)
    np.testing.assert_allclose(summary["mse"]["forecast"], forward, rtol=1e-5)
    per_frame = summary["per_frame"]
    assert per_frame["frame"] == list(range(missing, train_length + 60))
    np.testing.assert_allclose(
        np.sqrt(per_frame["mse"]["forecast"]),
        np.array(per_frame["frame"]) / 1000,
        atol=1e-6,
    )
    assert ("backward" in summary) == ("combined" in summary) == reversible
    if reversible:
        backward = np.mean((np.arange(60) / 500) ** 2)
        np.testing.assert_allclose(summary["backward"]["mse"], backward, rtol=1e-5)
        assert summary["backward"]["per_frame"]["frame"][0] == 0
        for measure, scale in (("mse", 1), ("relative_mse", 1), ("table_units", 1e8)):
            np.testing.assert_allclose(
                summary["combined"][measure],
                scale * (forward + backward) / 2 / (3 if scale > 1 else 1),
                rtol=1e-5,
            )


def test_black_frames_count_for_the_absolute_error_alone_in_both_directions():
    model = fakes.Counting(6, 0, True)
    images = np.ones((2, 10, 1, 1, 3), np.float32)
    images[:, [1, 8]] = 0
    summary = summarise(model, images, 4)
    frames = np.array([6, 7, 9]) / 1000
    np.testing.assert_allclose(
        summary["relative_mse"]["forecast"], np.mean(frames**2), rtol=1e-4
    )
    frames = np.array([0, 2, 3]) / 500
    np.testing.assert_allclose(
        summary["backward"]["relative_mse"], np.mean(frames**2), rtol=1e-4
    )
    assert np.isnan(summary["backward"]["per_frame"]["relative_mse"][1])
    assert summary["backward"]["per_frame"]["mse"][1] > 0


# The original's weights, and what our model calls them.
GOLDENS = {"hgn_pp_forward": "hgn", "ode_forward": "ode"}
GIVEN = {
    "num_inference_steps": 5,
    "num_target_steps": 9,
    "latent_training_type": "forward",
    "training_data_split": "overlap_by_one",
    "dt": 0.125,
}
SKIP = 4  # frames before the first target


def images_of(golden):
    """The images, or what they are the product of."""
    if "images" in golden:
        return golden["images"]
    factors = [golden[f"images/{name}"] for name in ("rows", "columns", "colour")]
    return np.einsum("bth,btw,btc->bthwc", *factors)


@pytest.mark.parametrize(
    "name", ["hgn_pp_forward", pytest.param("ode_forward", marks=pytest.mark.slow)]
)
def test_statistics_of_the_original_program(name):
    golden = dict(np.load(GOLDEN / "models" / f"{name}.npz"))
    params = {k[7:]: v for k, v in golden.items() if k.startswith("params/")}
    model = originals.load(params, GOLDENS[name], **GIVEN)
    images = images_of(golden)
    mean_image = jnp.zeros((len(images), *images.shape[2:]))
    scores = jax.jit(lambda model, images: mse.score(model, images, mean_image))
    scores = {k: np.asarray(v) for k, v in scores(model, images).items()}
    length, train = images.shape[1], int(golden["train_sequence_length"])
    assert train == model.train_length
    targets = length - SKIP
    segments = {
        "forward": {
            "full": slice(-targets, None),
            "train": slice(-targets, train - length),
            "extrapolation": slice(train - length, None),
        },
        "backward": {
            "full": slice(0, targets),
            "train": slice(length - train, targets),
            "extrapolation": slice(0, length - train),
        },
    }
    found = {}
    for direction, who in (("forward", "forecast"), ("backward", "backward")):
        for segment, where in segments[direction].items():
            for key, measure, unit in (
                ("l2", "mse", 1),
                ("l2_norm", "relative_mse", 3072),
            ):
                errors = scores[f"{who}/{measure}"][:, where]
                found[f"{direction}_{segment}_{key}"] = errors.mean(axis=1) / unit
    for key in [key for key in found if key.startswith("backward_")]:
        rest = key.removeprefix("backward_")
        found[f"combined_{rest}"] = (found[key] + found[f"forward_{rest}"]) / 2
    wanted = {k[5:]: v for k, v in golden.items() if k.startswith("eval/")}
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_allclose(found[key], values, rtol=2e-5, err_msg=key)

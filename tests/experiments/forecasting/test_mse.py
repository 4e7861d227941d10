"""Errors of forecasts: their units, and which frames count."""

import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core.image_errors import frame_errors
from nwm_jax.experiments.forecasting import mse
from tests.helpers import known_models

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
    errors = frame_errors(
        jnp.full((60, 32, 32, 3), 0.6), jnp.full((60, 32, 32, 3), 0.5)
    )
    np.testing.assert_allclose(errors["mse"], 0.01, rtol=1e-5)
    np.testing.assert_allclose(errors["relative_mse"], 0.04, rtol=1e-5)
    units = mse.table_units(errors["relative_mse"].mean(), (32, 32, 3))
    np.testing.assert_allclose(1e-8 * units, 1.3020833e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ALIGNMENT)
def test_the_frames_that_are_scored(kind):
    train_length, missing, reversible, scored = ALIGNMENT[kind]
    model = known_models.Counting(train_length, missing, reversible)
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
    model = known_models.Counting(6, 0, True)
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

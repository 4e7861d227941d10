"""The training loss of images: black frames, and predictions that are no numbers."""

import jax.numpy as jnp
import numpy as np

from nwm_jax.models.likelihood import negative_log_likelihood

# Half grey; frame 2 of both clips is black.
IMAGES = jnp.full((2, 5, 8, 8, 3), 0.5).at[:, 2].set(0.0)
MEANS = jnp.full(IMAGES.shape, 0.25)


def test_black_frames_count_for_the_absolute_error_alone():
    loss, metrics = negative_log_likelihood(MEANS, IMAGES)
    np.testing.assert_allclose(loss, 0.0625 + 0.5723649, rtol=1e-6)
    np.testing.assert_allclose(metrics["mse"], 0.0625, rtol=1e-6)
    np.testing.assert_allclose(metrics["relative_mse"], 0.25, rtol=1e-6)


def test_a_prediction_that_is_no_number_shows():
    """Nothing of it may be left out as if the frame were black."""
    loss, metrics = negative_log_likelihood(
        MEANS.at[1, 3, 0, 0, 0].set(jnp.nan), IMAGES
    )
    assert all(np.isnan(value) for value in (loss, *metrics.values()))
    loss, metrics = negative_log_likelihood(MEANS.at[1, 2].set(jnp.nan), IMAGES)
    assert np.isnan(loss) and np.isnan(metrics["mse"])
    np.testing.assert_allclose(metrics["relative_mse"], 0.25, rtol=1e-6)

"""The benchmark's likelihood of images: a normal of fixed width around the means."""

import math

import jax
import jax.numpy as jnp

from nwm_jax.evaluation import mse


def negative_log_likelihood(
    means: jax.Array, images: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The mean over everything of

        -log Normal(image; mean, 1/sqrt(2)) = error² + log(pi) / 2

    (arXiv:2111.05458, which divides the sum over a clip by its pixels and frames).

    Args:
      means: ``[..., H, W, C]``.
      images: ``[..., H, W, C]`` in [0, 1].

    Returns:
      The mean, and {"mse", "relative_mse"} of the same predictions, all scalars; black
      frames are left out of the relative error.
    """
    errors = mse.frame_errors(means, images)
    metrics = {name: jnp.nanmean(error) for name, error in errors.items()}
    return metrics["mse"] + 0.5 * math.log(math.pi), metrics

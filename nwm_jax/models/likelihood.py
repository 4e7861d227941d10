"""The benchmark's likelihood of images: a normal of fixed width around the means."""

import math

import jax
import jax.numpy as jnp

from nwm_jax.core import image_errors


def negative_log_likelihood(
    means: jax.Array, images: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Computes the mean negative log-likelihood of images.

        -log Normal(image; mean, 1/sqrt(2)) = error² + log(pi) / 2

    (arXiv:2111.05458, which divides the sum over a clip by its pixels and frames).

    Args:
      means: ``[..., H, W, C]``.
      images: ``[..., H, W, C]`` in [0, 1].

    Returns:
      The mean, and {"mse", "relative_mse"} of the same predictions, all scalars; black
      frames are left out of the relative error. A mean that is NaN shows in them.
    """
    errors = image_errors.frame_errors(means, images)
    lit = image_errors.is_lit(images)
    mse = jnp.mean(errors["mse"])
    relative = jnp.mean(errors["relative_mse"], where=lit)
    return mse + 0.5 * math.log(math.pi), {"mse": mse, "relative_mse": relative}

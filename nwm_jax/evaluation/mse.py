"""Squared errors of forecast frames, absolute and relative.

The published table of Neural Wave Machines (ICML 2023) is the benchmark's
`forward_extrapolation_l2_norm`: a relative error which that program divided by the
number of values of a frame once too often, given in units of 1e-8. `table_units`
repeats it, so that numbers can be compared; `relative_mse` is the error itself.
"""

import jax
import jax.numpy as jnp


def frame_errors(forecast: jax.Array, truth: jax.Array) -> dict[str, jax.Array]:
    """Errors of every frame.

        mse          = mean over pixels of (forecast - truth)²
        relative_mse = sum over pixels of (forecast - truth)² / sum of truth²

    Args:
      forecast: ``[..., H, W, C]`` in [0, 1].
      truth: the same shape; `relative_mse` is NaN where a frame is black (all zero), for
        then it means nothing; leave such frames out of means (`jnp.nanmean`).

    Returns:
      {"mse", "relative_mse"}, each ``[...]``.
    """
    pixels = (-3, -2, -1)
    squared = jnp.square(forecast - truth)
    energy = jnp.sum(jnp.square(truth), axis=pixels)
    return {
        "mse": jnp.mean(squared, axis=pixels),
        "relative_mse": jnp.where(
            energy > 0, jnp.sum(squared, axis=pixels) / energy, jnp.nan
        ),
    }


def table_units(relative_mse: jax.Array, image_shape: tuple[int, ...]) -> jax.Array:
    """A relative error in the units of the published table.

    Args:
      relative_mse: mean over frames of the relative error of a frame.
      image_shape: (H, W, C).

    Returns:
      ``1e8 relative_mse / (H W C)``.
    """
    height, width, channels = image_shape
    return 1e8 * relative_mse / (height * width * channels)

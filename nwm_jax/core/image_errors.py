"""Squared errors of images, absolute and relative, frame by frame."""

import jax
import jax.numpy as jnp

_PIXELS = (-3, -2, -1)


def is_lit(images: jax.Array) -> jax.Array:
    """Which frames are not black, so that a relative error means something.

    Args:
      images: the truth, ``[..., H, W, C]``.

    Returns:
      bool ``[...]``.
    """
    return jnp.sum(jnp.square(images), axis=_PIXELS) > 0


def frame_errors(forecast: jax.Array, truth: jax.Array) -> dict[str, jax.Array]:
    """Errors of every frame.

        mse          = mean over pixels of (forecast - truth)²
        relative_mse = sum over pixels of (forecast - truth)² / sum of truth²

    Args:
      forecast: ``[..., H, W, C]`` in [0, 1].
      truth: the same shape. Where a frame is black `relative_mse` is NaN; leave such
        frames out of means by `is_lit`, so that the NaN of a forecast still shows.

    Returns:
      {"mse", "relative_mse"}, each ``[...]``.
    """
    squared = jnp.square(forecast - truth)
    energy = jnp.sum(jnp.square(truth), axis=_PIXELS)
    return {
        "mse": jnp.mean(squared, axis=_PIXELS),
        "relative_mse": jnp.where(
            energy > 0, jnp.sum(squared, axis=_PIXELS) / energy, jnp.nan
        ),
    }

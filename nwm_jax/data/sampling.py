"""Random draws that the datasets are made of; each from one key, to be vmapped.

All are called inside `float64_on_cpu()` and return float64.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Numbers = TypeVar("Numbers", float, np.ndarray, jax.Array)


def particle_radius(mass: Numbers) -> Numbers:
    """Radius of a disc whose area is its mass: sqrt(m / pi), in world units."""
    return (mass / jnp.pi) ** 0.5


def annulus(
    key: jax.Array, radius_range: tuple[float, float], uniform_area: bool
) -> jax.Array:
    """A point of the plane at a uniform angle and a random distance from the origin.

    Args:
      key: random key.
      radius_range: inner radius lo and outer radius hi.
      uniform_area: density uniform over the annulus, r^2 ~ U[lo^2, hi^2]; otherwise
        uniform over the radius, r ~ U[lo, hi].

    Returns:
      The point (u, v), float64 `[2]`.
    """
    for_angle, for_radius = jax.random.split(key)
    low, high = radius_range
    angle = 2 * jnp.pi * jax.random.uniform(for_angle, dtype=jnp.float64)
    u = jax.random.uniform(for_radius, dtype=jnp.float64)
    if uniform_area:
        radius = jnp.sqrt(low**2 + u * (high**2 - low**2))
    else:
        radius = low + u * (high - low)
    return radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def uniform(
    key: jax.Array, limits: tuple[float, float], shape: tuple[int, ...] = ()
) -> jax.Array:
    """Numbers uniform in [lo, hi], float64 of `shape`; lo itself if lo = hi."""
    return jax.random.uniform(key, shape, jnp.float64, *limits)


def uniform_params(
    key: jax.Array, ranges: Mapping[str, tuple[float, float]], names: Iterable[str]
) -> dict[str, jax.Array]:
    """One number per name, uniform in its range, each from its own key."""
    names = tuple(names)
    keys = jax.random.split(key, len(names))
    return {n: uniform(k, ranges[n]) for n, k in zip(names, keys, strict=True)}

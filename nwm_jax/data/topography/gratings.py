"""Images without objects: sine gratings that move or stand, and noise."""

import math

import jax
import jax.numpy as jnp
import numpy as np

#: Radians by which a moving grating advances in a frame; frames of a period.
STEP, PERIOD = math.pi / 9, 18


def gratings(
    orientations: jax.Array,
    phases: jax.Array,
    num_frames: int,
    *,
    size: int = 28,
    wavelength: float = 24.0,
    moving: bool = True,
) -> jax.Array:
    """Sine gratings of any orientation.

        u_t(x, y) = 1/2 + 1/2 sin( 2 pi / wavelength (x cos theta + y sin theta)
                                   + phase + t pi / 9 )

    with x to the right and y down; so they move against (cos theta, sin theta).

    Args:
      orientations: theta, the angle of the wave vector, radians, ``[n]``.
      phases: at frame 0, radians, ``[n]``.
      num_frames: T.
      size: pixels of a side.
      wavelength: in pixels.
      moving: False: all frames are frame 0.

    Returns:
      ``[n, T, size, size]`` float32 in [0, 1].

    Source: the "retinal waves" of Keller & Welling, "Neural Wave Machines", ICML 2023
    (PMLR 202), section 4.1.
    """
    line = jnp.arange(size, dtype=jnp.float32)
    theta = jnp.asarray(orientations)[:, None, None]
    place = line * jnp.cos(theta) + line[:, None] * jnp.sin(theta)
    times = jnp.arange(num_frames) * (STEP if moving else 0.0)
    start = jnp.asarray(phases)[:, None] + times
    angle = (2 * math.pi / wavelength) * place[:, None] + start[:, :, None, None]
    return 0.5 + 0.5 * jnp.sin(angle)


def evenly_spaced(count: int) -> np.ndarray:
    """`count` orientations from 0 to below pi, radians."""
    return np.arange(count) * (math.pi / count)


def noise(seeds: jax.Array, num_frames: int, *, size: int = 28) -> jax.Array:
    """Pixels that are independent of each other and of time.

        u = min(max(e, 0), 1),    e ~ Normal(0, 1)

    Args:
      seeds: one for each sequence, uint32 ``[n]``.
      num_frames: T.
      size: pixels of a side.

    Returns:
      ``[n, T, size, size]`` float32 in [0, 1].

    Source: the control of Keller & Welling, ICML 2023, figure 2, whose distribution is
    not given; the means of its published tiles are those of this one.
    """

    def one(seed: jax.Array) -> jax.Array:
        key = jax.random.key(seed)
        return jax.random.normal(key, (num_frames, size, size))

    return jnp.clip(jax.vmap(one)(seeds), 0.0, 1.0)

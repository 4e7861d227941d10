"""Trajectories of a dataset, a chunk at a time: drawn, simulated, drawn again."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.specs import Spec, params_of

__all__ = ["CHUNK", "SPLITS", "params_of", "simulate_chunk"]

# Streams of random numbers: never renumber, or every seeded dataset changes.
SPLITS = {"train": 0, "test": 1}

# Trajectories are computed this many at a time, always: the same compiled program sees
# trajectory i in the same place, so it comes out the same to the last bit whatever the
# size of the dataset. (Also about what a core's cache holds.)
CHUNK = 1024
_REDRAWN = 256  # the same for those that are drawn again


def simulate_chunk(
    spec: Spec, split: str, chunk: int, *, num_frames: int, dt: float, seed: int
) -> dict[str, np.ndarray]:
    """Simulates trajectories chunk * CHUNK, ..., (chunk + 1) * CHUNK - 1 of a split.

    Trajectory i depends on (seed, split, i) alone.

    Args:
      spec: the dataset.
      split: "train" or "test".
      chunk: which block of `CHUNK` trajectories.
      num_frames: T, frames per trajectory, the initial state included.
      dt: time between frames.
      seed: any integer.

    Returns:
      As `spec.simulate` does, with leading axis CHUNK: `states` float64
      `[CHUNK, T, d]` and whatever else the dataset's pictures and records need.
    """
    settings = {"num_frames": num_frames, "dt": dt}
    arrays = spec.simulate(_drawn(spec, split, chunk, seed, 0), **settings)
    attempt = 0
    while (outside := np.flatnonzero(spec.rejected(arrays))).size:
        attempt += 1
        drawn = _drawn(spec, split, chunk, seed, attempt)
        for start in range(0, outside.size, _REDRAWN):
            rows = outside[start : start + _REDRAWN]
            padded = np.resize(rows, _REDRAWN)
            again = {k: v[padded] for k, v in drawn.items()}
            again = spec.simulate(again, **settings)
            for key, value in again.items():
                arrays[key][rows] = value[: rows.size]
    return arrays


def _drawn(spec: Spec, split: str, chunk: int, seed: int, attempt: int) -> dict:
    """What one chunk begins with; other numbers for each attempt."""
    with float64_on_cpu():
        stream = jax.random.key(seed % 2**63, impl="threefry2x32")
        stream = jax.random.fold_in(stream, SPLITS[split] + len(SPLITS) * attempt)
        return jax.tree.map(np.array, _sample_chunk(spec, stream, chunk * CHUNK))


@functools.partial(jax.jit, static_argnums=0)
def _sample_chunk(spec: Spec, stream: jax.Array, first: int) -> dict[str, jax.Array]:
    indices = first + jnp.arange(CHUNK, dtype=jnp.uint32)
    keys = jax.vmap(functools.partial(jax.random.fold_in, stream))(indices)
    return jax.vmap(spec.sample)(keys)

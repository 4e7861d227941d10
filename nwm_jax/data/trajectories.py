"""Trajectories of a dataset, a chunk at a time: drawn, simulated, drawn again."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data import systems
from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.suite import Spec

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
      `states` = (q, p) float64 `[CHUNK, T, 2D]`; `offset` float64 `[CHUNK, 2]`;
      `color_index` int32 and `radius` float64 `[CHUNK, n]`; `param_<name>` float64.
    """
    settings = {"num_frames": num_frames, "dt": dt}
    arrays = _simulate(spec, _drawn(spec, split, chunk, seed, 0), **settings)
    attempt = 0
    while (outside := np.flatnonzero(_leaves(spec, arrays))).size:
        attempt += 1
        drawn = _drawn(spec, split, chunk, seed, attempt)
        for start in range(0, outside.size, _REDRAWN):
            rows = outside[start : start + _REDRAWN]
            padded = np.resize(rows, _REDRAWN)
            again = _simulate(
                spec, {k: v[padded] for k, v in drawn.items()}, **settings
            )
            for key, value in again.items():
                arrays[key][rows] = value[: rows.size]
    return arrays


def _drawn(spec: Spec, split: str, chunk: int, seed: int, attempt: int) -> dict:
    """Constants and initial states of one chunk; other numbers for each attempt."""
    with float64_on_cpu():
        stream = jax.random.key(seed % 2**63, impl="threefry2x32")
        stream = jax.random.fold_in(stream, SPLITS[split] + len(SPLITS) * attempt)
        return jax.tree.map(np.array, _sample_chunk(spec, stream, chunk * CHUNK))


def _simulate(spec: Spec, drawn: dict, *, num_frames: int, dt: float) -> dict:
    states = systems.get(spec.system).simulate(
        params_of(drawn),
        drawn["q0"],
        drawn["p0"],
        dt=dt,
        num_steps=num_frames - 1,
        friction=spec.friction,
    )
    rest = {k: v for k, v in drawn.items() if k not in ("q0", "p0")}
    return {"states": states, **rest}


def _leaves(spec: Spec, arrays: dict) -> np.ndarray:
    """Which trajectories are to be drawn anew, bool `[B]`."""
    if not spec.redraw:
        return np.zeros(len(arrays["states"]), bool)
    q = np.split(arrays["states"], 2, axis=-1)[0]
    centres = systems.get(spec.system).positions(params_of(arrays), q)
    inside = np.abs(centres) <= spec.inner_half_width  # so that NaN counts as outside
    return ~inside.all(axis=(1, 2, 3))


def params_of(arrays: dict) -> dict:
    """The constants among `arrays`: entries `param_<name>`, by name."""
    return {
        key.removeprefix("param_"): value
        for key, value in arrays.items()
        if key.startswith("param_")
    }


@functools.partial(jax.jit, static_argnums=0)
def _sample_chunk(spec: Spec, stream: jax.Array, first: int) -> dict[str, jax.Array]:
    indices = first + jnp.arange(CHUNK, dtype=jnp.uint32)
    keys = jax.vmap(functools.partial(jax.random.fold_in, stream))(indices)
    return jax.vmap(spec.sample)(keys)

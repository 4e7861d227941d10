"""Trajectories of a dataset, a chunk at a time: drawn, simulated, drawn again."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax import files
from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.specs import BoxSpec, Spec

# Streams of random numbers: never renumber, or every seeded dataset changes. What is
# drawn again comes from the streams that follow, two further at each attempt.
SPLITS = {"train": 0, "test": 1, "valid": 2**31}
_ATTEMPT = 2

_CHUNK = 1024  # about what a core's cache holds
_FRAMES = 1024 * 512  # of all trajectories of a chunk together, a bound on memory
# While a chunk is simulated: all frames; the first put before; their axes exchanged.
_COPIES = 3
_ROWS = 256  # wanted ones are rounded up to: boxes are only then the same to a bit
_REDRAWN = 256  # as many at a time are drawn again


def chunk_size(num_frames: int) -> int:
    """How many trajectories of a length make a chunk: 1,024 up to 512 frames.

    Of longer ones fewer, a power of two, down to 8: what is held in memory is bounded.
    """
    fit = max(8, _FRAMES // num_frames)
    return min(_CHUNK, 1 << (fit.bit_length() - 1))


def state_bytes(spec: Spec, num_frames: int) -> int:
    """Returns the bytes of the states of one trajectory in float64; simulates nothing."""
    if isinstance(spec, BoxSpec):
        width = 4 * spec.box.num_particles
    else:
        with float64_on_cpu():
            drawn = jax.eval_shape(spec.sample, jax.random.key(0))
        width = sum(drawn[k].size for k in ("q0", "p0", "x0") if k in drawn)
    return 8 * width * num_frames


def check_chunk(spec: Spec, num_frames: int, what: str) -> None:
    """Refuses trajectories of which a chunk takes more memory than there is.

    Args:
      spec: the dataset.
      num_frames: frames per trajectory.
      what: the field and its value, for the message.

    Raises:
      UserError: one line with the numbers.
    """
    together = chunk_size(num_frames)
    files.check_memory(
        _COPIES * together * state_bytes(spec, num_frames),
        f"{what}, and {together} trajectories are simulated at a time",
    )


def simulate_chunk(
    spec: Spec,
    split: str,
    chunk: int,
    *,
    num_frames: int,
    dt: float,
    seed: int,
    count: int | None = None,
) -> dict[str, np.ndarray]:
    """Simulates trajectories chunk * size, chunk * size + 1, ... of a split.

    The size is `chunk_size(num_frames)`. Trajectory i depends on (seed, split, i)
    alone, to the last bit: not on how many others are computed beside it.

    Args:
      spec: the dataset.
      split: "train", "valid" or "test".
      chunk: which block of trajectories.
      num_frames: T, frames per trajectory, the initial state included.
      dt: time between frames.
      seed: any integer.
      count: how many of the block are wanted, the first ones; None: all.

    Returns:
      As `spec.simulate` does, with leading axis n, `count` or the size if that is less:
      `states` float64 `[n, T, d]` and whatever else the dataset's pictures and records
      need.
    """
    size = chunk_size(num_frames)
    count = size if count is None else min(count, size)
    # After a whole block its program is there, and another costs more than some rows.
    rows = size if chunk else min(size, -(-count // _ROWS) * _ROWS)
    first = chunk * size
    simulate = functools.partial(spec.simulate, num_frames=num_frames, dt=dt)
    arrays = simulate(_drawn(spec, split, first, rows, seed, 0))
    together = min(_REDRAWN, rows)
    attempt = 0
    while (outside := np.flatnonzero(spec.rejected(arrays)[:count])).size:
        attempt += 1
        drawn = _drawn(spec, split, first, rows, seed, attempt)
        for start in range(0, outside.size, together):
            some = outside[start : start + together]
            padded = np.resize(some, together)
            again = simulate({k: v[padded] for k, v in drawn.items()})
            for key, value in again.items():
                arrays[key][some] = value[: some.size]
    return {key: value[:count] for key, value in arrays.items()}


def _drawn(
    spec: Spec, split: str, first: int, count: int, seed: int, attempt: int
) -> dict:
    """What trajectories begin with; other numbers for each attempt."""
    with float64_on_cpu():
        stream = jax.random.key(seed % 2**63, impl="threefry2x32")
        stream = jax.random.fold_in(stream, SPLITS[split] + _ATTEMPT * attempt)
        drawn = _sample_chunk(spec, stream, first)
        return jax.tree.map(lambda a: np.array(a[:count]), drawn)


@functools.partial(jax.jit, static_argnums=0)
def _sample_chunk(spec: Spec, stream: jax.Array, first: int) -> dict[str, jax.Array]:
    indices = first + jnp.arange(_CHUNK, dtype=jnp.uint32)
    keys = jax.vmap(functools.partial(jax.random.fold_in, stream))(indices)
    return jax.vmap(spec.sample)(keys)

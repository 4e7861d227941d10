"""What a variational NWM sees, thinks and predicts of single test sequences."""

from typing import Any, NamedTuple

import jax
import numpy as np

from nwm_jax.data.topography.rotation import PERIOD
from nwm_jax.experiments.topography import posteriors
from nwm_jax.experiments.topography.induced import induce
from nwm_jax.models.topography import VariationalNWM
from nwm_jax.waves import ORIGINAL_BAND, maximum_activating, wave_signal, wave_velocity


class Watched(NamedTuple):
    """Test sequences.

    Attributes:
      images: the frames, ``[n, T, h, w]`` in [0, 1].
      means: the prediction at every step, of the next frame, the same shape.
      states: positions after every step, ``[n, T, H, W]``.
    """

    images: np.ndarray
    means: np.ndarray
    states: np.ndarray


def watch(
    task: Any, model: VariationalNWM, indices: np.ndarray, num_frames: int
) -> Watched:
    """Runs a model on test sequences.

    Args:
      task: a `Variational` that starts with frame 0.
      model: its model.
      indices: of the test sequences.
      num_frames: T.
    """

    @jax.jit
    def run(batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        images = task.source.sequences(batch, num_frames)
        posterior = posteriors.each(model.run, images, batch["index"])
        return images, jax.nn.sigmoid(posterior.logits), posterior.states.x

    arrays = run(task.eval_batch(np.asarray(indices)))
    return Watched(*(np.asarray(array)[..., 0] for array in arrays))


def signal(states: np.ndarray) -> np.ndarray:
    """Returns the complex signal of a state ``[T, H, W]`` as the paper filters it."""
    return wave_signal(states, band=ORIGINAL_BAND, setting="original")


def velocity(states: np.ndarray, boundary: Any) -> np.ndarray:
    """Computes the velocity nu of a signal, ``[T, H, W, 2]``, by one-sided differences.

    Learned waves may be shorter than 4 cells, where central ones turn their sign.
    """
    return wave_velocity(states, boundary=boundary, difference="forward")


def favourites(
    task: Any, model: VariationalNWM, count: int, absolute: bool = False
) -> np.ndarray:
    """Returns the input that moves every cell most, of many digits at all angles.

    The second turn of every digit has 18 samples: the position of a cell after a step
    and the frame that was its input.

    Args:
      task: a `Variational` of rotating images.
      model: its model.
      count: how many test digits.
      absolute: whether strong negative positions count too.

    Returns:
      ``[H, W, h, w]`` in [0, 1].
    """
    most: np.ndarray | None = None
    for start in range(0, count, 50):
        rollout = watch(
            task, model, np.arange(start, min(start + 50, count)), 2 * PERIOD
        )
        images = rollout.images[:, PERIOD:].reshape(-1, *rollout.images.shape[2:])
        states = rollout.states[:, PERIOD:].reshape(-1, *rollout.states.shape[2:])
        best, value = maximum_activating(states, absolute=absolute)
        shown, rank = images[best], np.abs(value) if absolute else value
        if most is None:
            most, record = shown, rank
        better = rank > record
        most = np.where(better[..., None, None], shown, most)
        record = np.maximum(rank, record)
    assert most is not None, "there are no digits"
    return most


def turned_back(
    task: Any,
    model: VariationalNWM,
    indices: np.ndarray,
    num_frames: int,
    velocity: float = 1.0,
) -> np.ndarray:
    """Returns induced waves of test digits, ``[n, num_frames, h, w]``, see `induced`."""

    @jax.jit
    def run(batch: dict[str, jax.Array]) -> jax.Array:
        images = task.source.sequences(batch, PERIOD)
        return induce(model, images, batch["index"], velocity, num_frames)

    return np.asarray(run(task.eval_batch(np.asarray(indices))))[..., 0]

"""A dataset of your own: moving things that are drawn on the device.

    python -m nwm_jax.train --config=examples/own_dataset.py:smoke --workdir=runs/own_data
    python -m nwm_jax.evaluate --config=examples/own_dataset.py --workdir=runs/own_data

A disc moves at constant speed and bounces off the walls. (Movies that exist as a file
need none of this: ``--config.data.path=frames.npy``.)
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from nwm_jax.data.render import quantise
from nwm_jax.experiments import forecasting
from nwm_jax.experiments.forecasting import configs

SIDE, RADIUS = 32, 0.12


class BouncingDisc:
    """A `nwm_jax.data.Source`: trajectory i depends on (seed, split, i) alone.

    Args:
      num_train: trajectories of the training split.
      num_valid: trajectories of the validation split.
      num_test: trajectories of the test split.
      num_frames: frames of a trajectory.
      dt: time between frames.
      seed: of the first positions and the velocities.
    """

    image_shape = (SIDE, SIDE, 3)
    origin = "lower"

    def __init__(
        self,
        num_train: int,
        num_valid: int,
        num_test: int,
        num_frames: int,
        dt: float,
        seed: int,
    ) -> None:
        self.num_frames, self._dt, self._seed = num_frames, dt, seed
        self._sizes = {"train": num_train, "valid": num_valid, "test": num_test}

    def size(self, split: str) -> int:
        """Returns the number of trajectories of a split."""
        return self._sizes[split]

    def read(
        self, split: str, indices: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        """Returns "states", positions and velocities ``[n, length, 4]``."""
        which = sorted(self._sizes).index(split)
        states = []
        for index, start in zip(indices, starts, strict=True):
            draw = np.random.default_rng((self._seed, which, int(index)))
            place, velocity = draw.uniform(-1, 1, 2), draw.uniform(-1, 1, 2)
            time = self._dt * (start + np.arange(length))[:, None]
            # Without walls; then folded like a sheet of paper at each of them.
            folded = (place + velocity * time + 1) % 4
            inside = 1 - np.abs(folded - 2)
            speed = np.where(folded < 2, velocity, -velocity)
            states.append(np.concatenate([inside, speed], axis=-1))
        return {"states": np.asarray(states, np.float32)}

    def decode(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Returns "images", red discs on black, and "states", as they were read."""
        grid = jnp.linspace(-1 - RADIUS, 1 + RADIUS, SIDE)
        x, y = batch["states"][..., 0, None, None], batch["states"][..., 1, None, None]
        distance = jnp.hypot(grid - x, grid[:, None] - y)
        disc = jnp.clip((RADIUS - distance) * SIDE / 2 + 0.5, 0.0, 1.0)
        images = quantise(disc[..., None] * jnp.array([1.0, 0.0, 0.0]))
        return {"images": images, "states": batch["states"]}


def read(*, cache_dir, num_train, num_valid, num_test, num_frames, dt, seed):
    """Opens the dataset; nothing of it is kept on disk."""
    del cache_dir
    return BouncingDisc(num_train, num_valid, num_test, num_frames, dt, seed)


forecasting.register_dataset("bouncing", dt=0.05, read=read)


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config of the 2D wave machine on it."""
    return configs.get_config("bouncing", "nwm2d", argument)

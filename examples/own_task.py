"""A task of your own: data, model, loss and scores in one class.

    python -m nwm_jax.train --config=examples/own_task.py:smoke --workdir=runs/own_task
    python -m nwm_jax.evaluate --config=examples/own_task.py --workdir=runs/own_task
    python -m nwm_jax.table --config=examples/own_task.py --runs='runs/*'

A perceptron removes the noise from the 8 x 8 digits that come with scikit-learn.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.config import base, grammar
from nwm_jax.data.sequences import digits
from nwm_jax.modules import functional
from nwm_jax.training import registry
from nwm_jax.training.task import Task


class Denoiser(nnx.Module):
    """Noisy images to clean ones, ``[B, 64]`` each.

    Args:
      units: of the hidden layer.
      rngs: draws the weights.
    """

    def __init__(self, units: int, *, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(64, units, rngs=rngs)
        self.out = nnx.Linear(units, 64, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Returns the images without their noise."""
        return self.out(nnx.relu(self.hidden(images)))


class Denoising(Task):
    """Removes noise; scored by the mean squared error of the test digits."""

    best = ("mse", "min")
    followed = "mse"
    tabulated = ("mse", "noisy_mse")

    def __init__(self, config: ConfigDict) -> None:
        super().__init__(config)
        data = digits.read()
        self._train = data.train.reshape(-1, 64) / np.float32(data.train.max())
        self._test = data.test.reshape(-1, 64) / np.float32(data.train.max())
        self.num_eval = len(self._test)

    def init(self, key: jax.Array) -> Denoiser:
        """Draws a new model."""
        return Denoiser(self.config.model.units, rngs=nnx.Rngs(key))

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Returns rows of the batch of a step, a pure function of (seed, step)."""
        draw = np.random.default_rng((self.config.seed, step))
        chosen = draw.integers(len(self._train), size=self.config.batch_size)
        return {"images": self._train[chosen[rows]].astype(np.float32)}

    def loss(self, params, state, batch, key):
        """Returns the mean squared error under fresh noise."""
        model = functional.merge(self.graphdef, params, state)
        error = (model(self._noisy(batch["images"], key)) - batch["images"]) ** 2
        return error.mean(), ({}, state)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns test digits."""
        return {
            "images": self._test[indices].astype(np.float32),
            "index": np.asarray(indices, np.int32),
        }

    def score(self, model, batch):
        """Returns the errors of every image with the model and without it."""
        noisy = jax.vmap(lambda image, i: self._noisy(image, jax.random.key(i)))(
            batch["images"], batch["index"]
        )

        def error(images: jax.Array) -> jax.Array:
            return jnp.mean((images - batch["images"]) ** 2, axis=-1)

        return {"mse": error(model(noisy)), "noisy_mse": error(noisy)}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        """Returns means over the images."""
        return {name: float(np.mean(values)) for name, values in scores.items()}

    def _noisy(self, images: jax.Array, key: jax.Array) -> jax.Array:
        return images + self.config.data.noise * jax.random.normal(key, images.shape)


EXPERIMENT = registry.Experiment(
    name="denoising",
    tasks={"denoising": Denoising},
    configs=lambda: {"denoising": get_config},
)

PRESETS = {"paper": {}, "smoke": {"num_steps": 20, "log_every": 10, "batch_size": 16}}


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = base.common()
    config.update(
        name="denoising",
        task="denoising",
        num_steps=2_000,
        data={"name": "digits", "noise": 0.3},
        model={"name": "perceptron", "units": 64},
        eval={"every": 0, "batch_size": 50},
    )
    config.optimizer.learning_rate = 1e-3
    return grammar.apply(config, argument, PRESETS)


registry.register(EXPERIMENT)

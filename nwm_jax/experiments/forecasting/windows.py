"""The windows that forecasts are scored on, and the image without skill."""

import copy
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nwm_jax.data import Source
from nwm_jax.data.windows import eval_windows
from nwm_jax.models import ForecastModel


class Windows:
    """Fixed, seeded windows of a source; what the evaluations of forecasts share.

    Args:
      config: read are `data` and `eval`.
      source: the data.
      model: the model, with shapes instead of its weights.
      graphdef: its structure.
      split: "test" or "valid".

    Attributes:
      train_length: frames of a training clip.
      window: frames of a window: a training clip and `eval.horizon`.
      num_eval: how many windows.
      eval_batch_size: how many of them at a time.
    """

    def __init__(
        self,
        config: Any,
        source: Source,
        model: ForecastModel,
        graphdef: nnx.GraphDef,
        split: str = "test",
    ) -> None:
        self.config, self.source = config, source
        self.model, self.graphdef, self.split = model, graphdef, split
        self.train_length = model.train_length
        self.window = self.train_length + config.eval.horizon
        self.num_eval = config.eval.num_windows
        self.eval_batch_size = config.eval.batch_size
        self._mean_image = functools.cache(self._draw_mean_image)

    def of(self, split: str) -> "Windows":
        """Returns the windows of another split; both share the mean image."""
        other = copy.copy(self)
        other.split = split
        other.__dict__.pop("chosen", None)
        return other

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns windows `indices` of the split and the mean image."""
        trajectories, starts = self.chosen
        return self.with_mean_image(
            self.source.read(
                self.split, trajectories[indices], starts[indices], self.window
            )
        )

    def with_mean_image(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Adds "mean_image", float32 ``[n, H, W, C]``, the same for all examples.

        So it is made on the host, and not while `score` is compiled.
        """
        count = len(next(iter(batch.values())))
        shape = (count, *self.source.image_shape)
        return batch | {"mean_image": np.broadcast_to(self.mean_image, shape).copy()}

    @property
    def mean_image(self) -> np.ndarray:
        """Mean of `eval.num_mean_windows` seeded training windows.

        float32 ``[H, W, C]`` in [0, 1].
        """
        return self._mean_image()

    def _draw_mean_image(self) -> np.ndarray:
        count = self.config.eval.num_mean_windows
        trajectories, starts = self._choose("train", count)

        # In one program XLA would merge drawing and sum, which takes up to five times as
        # long on CPUs.
        draw = jax.jit(lambda batch: self.source.decode(batch)["images"])
        total = jnp.zeros(self.source.image_shape, jnp.float32)
        for chunk in np.array_split(np.arange(count), -(-count // 32)):
            batch = self.source.read(
                "train", trajectories[chunk], starts[chunk], self.window
            )
            total = total + jnp.sum(draw(batch), axis=(0, 1))
        return np.asarray(total) / np.float32(count * self.window)

    @functools.cached_property
    def chosen(self) -> tuple[np.ndarray, np.ndarray]:
        """Trajectories and first frames of the windows of the split."""
        return self._choose(self.split, self.num_eval)

    def _choose(self, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Chooses windows by a seed of their own, not by that of the training."""
        return eval_windows(
            self.config.data.seed,
            count,
            num_trajectories=self.source.size(split),
            num_frames=self.source.num_frames,
            length=self.window,
        )

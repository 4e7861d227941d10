"""Learning topographic maps: the variational NWM on sequences that return to their start."""

import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.data.topography.periodic import (
    Gratings,
    RotatingImages,
    open_periodic,
)
from nwm_jax.data.topography.rotation import PERIOD
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.topography import posteriors, rollouts
from nwm_jax.experiments.topography.induced import InducedWave
from nwm_jax.experiments.topography.orientation import Orientation
from nwm_jax.experiments.wave_statistics import WaveStatistics
from nwm_jax.models import topography
from nwm_jax.models.topography import VariationalNWM
from nwm_jax.modules import functional
from nwm_jax.training.evaluation import Evaluation
from nwm_jax.training.task import Task
from nwm_jax.waves import ORIGINAL_BAND


class Variational(Task[VariationalNWM]):
    """The task of a variational NWM, see `training.task.Task`.

    Args:
      config: a resolved config of `experiments.topography.configs`.
      progress: called as progress(done, total), in bytes, while downloading.

    Raises:
      UserError: what the data or the model finds wrong, or more test sequences than
        there are.
    """

    metric = "elbo"
    extras = (WaveStatistics, Orientation, InducedWave)
    best = ("loss", "min")
    preparation = "downloading"

    def __init__(
        self,
        config: ConfigDict,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(config)
        self.source = open_periodic(config.data, progress)
        self.num_eval = config.eval.num_examples
        if 0 < self.source.num_test < self.num_eval:
            raise UserError(
                f"eval.num_examples={self.num_eval} is more than the "
                f"{self.source.num_test} test sequences of the data"
            )
        self.units_per_example = config.data.num_frames
        # The model's structure, with shapes instead of its weights.
        model = nnx.eval_shape(lambda: self.init(jax.random.key(0)))
        self.graphdef = functional.split(model)[0]
        self._field = math.prod(model.cell.output_shape)
        self._rings = model.cell.hparams.topology == "ring"

    def init(self, key: jax.Array) -> VariationalNWM:
        """Draws a new model."""
        return topography.build(
            self.config.model,
            self.source.image_shape,
            conv=self.config.conv,
            remat=self.config.remat,
            rngs=nnx.Rngs(key),
        )

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the sequences of a step are; they are drawn inside the loss."""
        config = self.config
        return self.source.train(config.seed, step, rows, config.batch_size)

    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """Minus the bound, nats per frame; its two terms as metrics."""
        model = functional.merge(self.graphdef, params, state)
        images = self.source.sequences(batch, self.config.data.num_frames)
        terms = {k: jnp.mean(v) for k, v in model.terms(images, key).items()}
        return terms.pop("loss"), (terms, state)

    def bytes_per_example(self) -> float:
        """Bytes of the frames of a sequence, and of the states that follow each other."""
        frame = math.prod(self.source.image_shape) + 2 * self._field
        return 4.0 * self.config.data.num_frames * frame

    def forward_flops(self) -> float:
        """Operations of encoder, field and decoder on the frames of a batch."""
        model = nnx.eval_shape(lambda: self.init(jax.random.key(0)))
        _, params, _ = functional.split(model)
        layers = functional.count((params["encoder"], params["decoder"]))
        taps = 3 * math.prod(model.cell.hparams.kernel_shape)
        field = taps * math.prod(model.cell.output_shape)
        frames = self.config.batch_size * self.config.data.num_frames
        return 2.0 * frames * (layers + field)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns test sequences `indices`."""
        return self.source.test(indices) | {"index": np.asarray(indices, np.int32)}

    def score(
        self, model: VariationalNWM, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns the terms of every sequence's bound, means over frames, ``[n]``.

        Every sequence has draws of its own, whatever stands beside it in the batch.
        "last_nll" is the mean of "nll" over the last period.
        """
        images = self.source.sequences(batch, self.config.eval.num_frames)
        terms = posteriors.each(model.terms, images, batch["index"])
        means = {name: jnp.mean(values, axis=1) for name, values in terms.items()}
        return means | {"last_nll": jnp.mean(terms["nll"][:, -PERIOD:], axis=1)}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over the sequences, nats per frame."""
        return {k: float(np.mean(v, dtype=np.float64)) for k, v in scores.items()}

    def evaluations(self, metrics: Sequence[str] = ()) -> dict[str, Evaluation]:
        """Returns what metrics are computed by.

        Args:
          metrics: "elbo" (the task itself), "waves" (of the states as the paper filters
            them, without the first period), "induced" of images that turn and
            oscillators on rings, "orientation" of gratings; none: all of them.

        Raises:
          UserError: another metric.
        """
        rings = self._rings
        made: dict[str, Evaluation] = {"elbo": self}
        made["waves"] = WaveStatistics(
            self,
            self.states,
            rings=rings,
            band=ORIGINAL_BAND,
            setting="original",
            skip=PERIOD,
            num=self.config.eval.num_waves,
        )
        if rings and isinstance(self.source, RotatingImages):
            made["induced"] = InducedWave(self)
        if isinstance(self.source, Gratings):
            made["orientation"] = Orientation(self)
        for name in metrics:
            if name not in made:
                raise unknown("metric", name, made)
        return {name: made[name] for name in metrics} if metrics else made

    def states(self, model: VariationalNWM, batch: dict[str, jax.Array]) -> jax.Array:
        """Returns positions over test sequences, ``[n, T, H, W, 1]``, of drawn inputs."""
        frames = max(self.config.eval.num_frames, 2 * PERIOD)
        images = self.source.sequences(batch, frames)
        return posteriors.each(model.states, images, batch["index"])

    def figures(
        self, model: VariationalNWM, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Draws the first test sequence: input, prediction, state, phase.

        Args:
          model: a trained model.
          folder: where the pictures go.

        Returns:
          strip.png (frames and their predictions), forecast.webp (an animation, with
          the state as it is), filtered.webp (the same with the filtered state),
          wave.png (the filtered state with phase and velocity) and space_time.png.
        """
        from nwm_jax.figures import animation, strip, waves  # loads matplotlib

        length = max(self.config.eval.num_frames, 2 * PERIOD)
        seen = rollouts.watch(self, model, np.array([0]), length)
        truth = np.roll(seen.images[0], -1, axis=0)[-len(seen.means[0]) :, ..., None]
        means, sheet = seen.means[0][..., None], seen.states[0]
        signal = rollouts.signal(sheet)
        title, origin = self.title, "upper"
        first = length - len(means) + 1
        times: dict[str, Any] = {"first_frame": first, "origin": origin}
        times["num_observed"] = first + length
        rings = self._rings
        boundary = ("open", "periodic") if rings else "periodic"
        late = slice(-PERIOD, None)
        filtered = np.nan_to_num(signal.real)
        return [
            strip.draw(folder / "strip.png", truth, means, title=title, **times),
            animation.save(
                folder / "forecast.webp", truth, means, sheet, fps=8, **times
            ),
            animation.save(
                folder / "filtered.webp", truth, means, filtered, fps=8, **times
            ),
            waves.draw_snapshots(
                folder / "wave.png",
                signal[late],
                first_frame=length - PERIOD,
                boundary=boundary,
                title=f"{title}: positions, filtered",
                origin=origin,
            ),
            waves.draw_space_time(
                folder / "space_time.png", sheet, title=f"{title}: positions"
            ),
        ]

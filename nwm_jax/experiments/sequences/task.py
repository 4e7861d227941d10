"""What the tasks of remembering a long sequence share."""

import abc
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.sequences.wave_line import WaveLine
from nwm_jax.experiments.wave_statistics import LEAST_FRAMES, WaveStatistics
from nwm_jax.models import sequences
from nwm_jax.models.sequences import SequenceClassifier
from nwm_jax.modules import functional
from nwm_jax.training import room
from nwm_jax.training.evaluation import Evaluation
from nwm_jax.training.flops import count_by_xla
from nwm_jax.training.task import Task


class SequenceTask(Task[SequenceClassifier]):
    """A classifier, its inputs and what it shows of itself; see `training.task.Task`.

    Args:
      config: a resolved config. Read are `name`, `seed`, `batch_size`, `remat`, `conv`,
        `model` (see `models.sequences.build`) and `eval.batch_size`.
      length: T, steps of a sequence.
      inputs: F, numbers of a step.
      outputs: numbers of an answer.
      every_step: whether it answers after every step.
      num_eval: examples of the evaluation set.

    Raises:
      UserError: the model's fields do not fit together.
    """

    extras = (WaveLine, WaveStatistics)

    def __init__(
        self,
        config: ConfigDict,
        *,
        length: int,
        inputs: int,
        outputs: int,
        every_step: bool = False,
        num_eval: int,
    ) -> None:
        super().__init__(config)
        self.units_per_example = length
        self.num_eval = num_eval
        # The choice of the best checkpoint, or whether it is solved, needs them all.
        self.num_periodic = num_eval
        self._sizes = {
            "inputs": inputs,
            "outputs": outputs,
            "every_step": every_step,
            "remat": config.remat,
            "implementation": config.conv,
        }
        # The model's structure, with shapes instead of its weights.
        model = nnx.eval_shape(lambda: self.init(jax.random.key(0)))
        self.cell = model.cell
        self.graphdef, params, _ = functional.split(model)
        self._num_weights = sequences.count_weights(params)

    def init(self, key: jax.Array) -> SequenceClassifier:
        """Draws a new classifier."""
        model = self.config.model
        return sequences.build(model, rngs=nnx.Rngs(key), **self._sizes)

    @property
    def note(self) -> str:  # type: ignore[override]  # an attribute, computed
        """Describes the sequences, and the scores that they cannot have."""
        text = f"sequences of {self.units_per_example} steps"
        left_out = self._has_waves and self._too_short
        return f"{text}; left out: {left_out}" if left_out else text

    @property
    def _has_waves(self) -> bool:
        """Whether the hidden state has places or oscillates."""
        return self.cell.speed is None or self.cell.has_neighbours

    @property
    def _too_short(self) -> str:
        """Why states have too few steps for statistics of waves; empty: they have not."""
        steps = self.units_per_example
        if steps >= LEAST_FRAMES:
            return ""
        return f"the metric waves needs {LEAST_FRAMES} steps, sequences have {steps}"

    def bytes_per_example(self) -> float:
        """Bytes of a sequence, and of the states that its gradient needs, if any."""
        step = 4 * self._sizes["inputs"]
        if not self.config.remat and getattr(self.cell, "keeps_states", True):
            shape = (1, self._sizes["inputs"])
            step += room.size(jax.eval_shape(lambda: self.cell.initialize_carry(shape)))
        return float(self.units_per_example * step)

    def forward_flops(self) -> float:
        """Returns the floating-point operations of a batch, from XLA's count of one step."""
        batch, length = self.config.batch_size, self.units_per_example

        def once(inputs: jax.Array) -> jax.Array:
            return self.init(jax.random.key(0))(inputs)

        shape = (batch, 1, self._sizes["inputs"])
        inputs = jax.ShapeDtypeStruct(shape, jnp.float32)
        return length * count_by_xla(once, inputs)

    @abc.abstractmethod
    def inputs(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Returns the classifier's inputs of a batch, float32 ``[n, T, F]``; jittable."""

    @abc.abstractmethod
    def errors(
        self, model: SequenceClassifier, batch: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns errors and accuracies of every example, ``[n]`` each."""

    @abc.abstractmethod
    def objective(self, errors: Mapping[str, jax.Array]) -> jax.Array:
        """Returns the loss, from the errors of a batch."""

    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """Returns the task's loss, and the batch means of its errors as metrics."""
        model = functional.merge(self.graphdef, params, state)
        errors = self.errors(model, batch)
        metrics = {name: jnp.mean(values) for name, values in errors.items()}
        return self.objective(errors), (metrics, state)

    def score(
        self, model: SequenceClassifier, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns the errors of every example, ``[n]`` each."""
        return self.errors(model, batch)

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over the examples and "num_weights", the weights but no biases."""
        means = {
            name: float(np.mean(values, dtype=np.float64))
            for name, values in scores.items()
        }
        return means | {"num_weights": self._num_weights}

    def evaluations(self, metrics: Sequence[str] = ()) -> dict[str, Evaluation]:
        """Returns what metrics are computed by.

        Args:
          metrics: of the task's own, "wave_line", which only states on rings have, and
            "waves", which all have but the identity RNN, whose units have no place,
            and sequences of fewer than 4 steps; none: all that there are.

        Raises:
          UserError: another metric, or one that such short sequences cannot have.
        """
        made: dict[str, Evaluation] = {self.metric: self}
        if self.cell.speed is not None:
            made["wave_line"] = WaveLine(self, self.cell.speed)
        if self._has_waves and not self._too_short:
            hparams = getattr(self.cell, "hparams", None)  # not all cells have rings
            made["waves"] = WaveStatistics(
                self,
                lambda model, batch: model.states(self.inputs(batch)),
                rings=getattr(hparams, "topology", "") == "ring",
            )
        for name in metrics:
            if name == "waves" and self._has_waves and self._too_short:
                raise UserError(f"{self._too_short}: leave it away")
            if name not in made:
                raise unknown("metric", name, made)
        return {name: made[name] for name in metrics} if metrics else made

    def figures(
        self, model: SequenceClassifier, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Draws the hidden state of the last test sequence.

        Args:
          model: a trained classifier.
          folder: where the pictures go.

        Returns:
          hidden_state.png, the state over time and place, and hidden_spectrum.png, its
          power over that of the same state shuffled. They are of the channel that
          varies most (of a torus: its middle row). Units without a place, which feel
          all others or none, stand in the order of the times of their maxima. Linear
          waves also have dispersion.png: what they learned, beside the spectrum of
          their state.
        """
        from nwm_jax.experiments.sequences import figures as hidden
        from nwm_jax.figures import dispersion

        batch = self.eval_batch(np.array([self.num_eval - 1]))
        states = jax.jit(lambda model, batch: model.states(self.inputs(batch)))
        states = np.asarray(states(model, batch))[0]
        linear, more = getattr(model.cell, "linear_waves", None), []
        if linear is not None:
            path = folder / "dispersion.png"
            name = f"{self.title}: linear waves"
            more = [
                dispersion.draw(path, linear.hparams, linear.params, states, title=name)
            ]
        place, channel = "place on the ring", ""
        if states.ndim == 2:  # places without channels
            states = states[..., None]
        states = states.reshape(len(states), -1, *states.shape[-2:])
        states = states[:, states.shape[1] // 2]
        if states.shape[-1] > 1:
            chosen = int(np.argmax(states.var(axis=(0, 1))))
            channel = f", channel {chosen}"
            states = states[..., chosen : chosen + 1]
        sheet = states[..., 0]
        if not self.cell.has_neighbours:
            sheet = sheet[:, np.argsort(sheet.argmax(axis=0), kind="stable")]
            place = "unit, in the order of maxima"
        title = f"{self.title}: hidden state{channel}"
        waves = self.cell.has_neighbours
        return [
            *more,
            hidden.draw_waterfall(
                folder / "hidden_state.png", sheet, title=title, place=place
            ),
            hidden.draw_spectrum(
                folder / "hidden_spectrum.png",
                sheet,
                speed=self.cell.speed if waves else None,
                title=title,
                place=place.partition(" ")[0].rstrip(","),
            ),
        ]

"""Adding the two marked numbers of a long sequence (arXiv:2309.08045, section 3.2)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.data.sequences import adding
from nwm_jax.errors import UserError
from nwm_jax.experiments.sequences.task import SequenceTask
from nwm_jax.models.sequences import SequenceClassifier


class Adding(SequenceTask):
    """The adding task of a config, see `training.task.Task` and `data.sequences.adding`.

    Args:
      config: a resolved config. Beside what `SequenceTask` reads: `data.T` (steps),
        `data.seed` (of the evaluation set), `eval.num_examples`, `stop_when_solved`.

    Raises:
      UserError: T below 2, or the model's fields do not fit together.
    """

    metric = "mse"
    curve = "mse"
    followed = "mse"
    tabulated = ("mse",)
    #: Mean squared error of the evaluation below which the task counts as solved.
    solved = 0.05
    best = ("mse", "min")

    def __init__(self, config: ConfigDict) -> None:
        length = config.data.T
        if length < 2:
            raise UserError(f"data.T={length} must be 2 or more: each half has a mark")
        num_eval = config.eval.num_examples
        super().__init__(config, length=length, inputs=2, outputs=1, num_eval=num_eval)
        files.check_memory(
            8 * num_eval * length,
            f"eval.num_examples={num_eval} sequences of data.T={length} steps",
        )
        self._eval_set = adding.eval_set(config.data.seed, num_eval, length)

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Draws sequences: "inputs" ``[n, T, 2]`` and "sums" ``[n, 1]``, float32."""
        config = self.config
        inputs, sums = adding.train_batch(
            config.seed, step, config.batch_size, config.data.T
        )
        return {"inputs": inputs[rows], "sums": sums[rows]}

    def inputs(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Returns the sequences as they are."""
        return batch["inputs"]

    def errors(
        self, model: SequenceClassifier, batch: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns squared errors, of the model and of a constant answer of 1."""
        answers = model(self.inputs(batch))
        return {
            "mse": ((answers - batch["sums"]) ** 2)[:, 0],
            "trivial_mse": ((1.0 - batch["sums"]) ** 2)[:, 0],
        }

    def objective(self, errors: Mapping[str, jax.Array]) -> jax.Array:
        """Returns mean squared error."""
        return errors["mse"].mean()

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns sequences `indices` of the fixed set."""
        inputs, sums = self._eval_set
        return {"inputs": inputs[indices], "sums": sums[indices]}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over the sequences: "mse", "trivial_mse"; "solved", 1 or 0."""
        summary = super().summarise(scores)
        return summary | {"solved": int(summary["mse"] < self.solved)}

    def stop(self, metrics: Mapping[str, float]) -> str | None:
        """Returns why training ends early: an evaluation found the task solved."""
        if self.config.stop_when_solved and metrics.get("solved"):
            return f"solved: mean squared error below {self.solved}"
        return None

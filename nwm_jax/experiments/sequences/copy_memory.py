"""Copying ten symbols after a long silence (arXiv:2309.08045, section 3.1)."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.data.sequences import copy_memory
from nwm_jax.data.sequences.copy_memory import CLASSES, NUM_SYMBOLS
from nwm_jax.experiments.sequences.task import SequenceTask
from nwm_jax.models.sequences import SequenceClassifier

# The paper's "MSE" is the cross-entropy over the size of a test batch of its program.
_PAPER_TEST_BATCH = 50


class CopyMemory(SequenceTask):
    """The copy task of a config, see `training.task.Task` and `data.sequences.copy_memory`.

    The loss is the reference program's: the cross-entropy, mean over all steps and
    examples, over the batch size once more.

    Args:
      config: a resolved config. Beside what `SequenceTask` reads: `data.T` (blanks, or
        the delay in the code's layout), `data.layout` ("paper" or "code"),
        `data.seed` (of the evaluation set), `eval.num_examples`, `stop_when_solved`.

    Raises:
      UserError: unknown layout or too small a T; the model's fields do not fit.
    """

    metric = "cross_entropy"
    curve = "cross_entropy"
    followed = "recall_cross_entropy"
    tabulated = ("recall_cross_entropy", "recall_accuracy", "paper_loss")
    #: Cross-entropy of a recalled symbol below which the task counts as solved.
    solved = 1e-4
    best = ("recall_cross_entropy", "min")

    def __init__(self, config: ConfigDict) -> None:
        data = config.data
        super().__init__(
            config,
            length=copy_memory.length(data.T, data.layout),
            inputs=CLASSES,
            outputs=CLASSES,
            every_step=True,
            num_eval=config.eval.num_examples,
        )
        files.check_memory(
            2 * self.num_eval * self.units_per_example,
            f"eval.num_examples={self.num_eval} sequences of data.T={data.T}",
        )
        symbols = copy_memory.eval_symbols(data.seed, self.num_eval)
        self._eval_set = copy_memory.lay_out(symbols, data.T, data.layout)

    @property
    def note(self) -> str:  # type: ignore[override]  # an attribute, computed
        """One line about the lengths, which paper and program count differently."""
        data = self.config.data
        delay = copy_memory.delay(data.T, data.layout)
        return (
            f"copy task, T={data.T} as the {data.layout} counts: sequences of "
            f"{self.units_per_example} steps, every symbol recalled after {delay}"
        )

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Draws sequences: "inputs" and "targets", uint8 ``[n, T]``."""
        config = self.config
        symbols = copy_memory.train_symbols(config.seed, step, config.batch_size)
        inputs, targets = copy_memory.lay_out(
            symbols[rows], config.data.T, config.data.layout
        )
        return {"inputs": inputs, "targets": targets}

    def inputs(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Returns one-hot symbols, ``[n, T, 10]``."""
        return jax.nn.one_hot(batch["inputs"], CLASSES)

    def errors(
        self, model: SequenceClassifier, batch: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns cross-entropies of all steps and recalled symbols, and the accuracy."""
        logits = model(self.inputs(batch))
        targets = batch["targets"].astype(jnp.int32)
        chosen = jnp.take_along_axis(
            jax.nn.log_softmax(logits), targets[..., None], axis=-1
        )[..., 0]
        right = jnp.argmax(logits, axis=-1) == targets
        return {
            "cross_entropy": -chosen.mean(axis=1),
            "recall_cross_entropy": -chosen[:, -NUM_SYMBOLS:].mean(axis=1),
            "recall_accuracy": right[:, -NUM_SYMBOLS:].mean(axis=1),
        }

    def objective(self, errors: Mapping[str, jax.Array]) -> jax.Array:
        """Returns mean cross-entropy over the batch size."""
        return errors["cross_entropy"].mean() / errors["cross_entropy"].size

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns sequences `indices` of the fixed set."""
        inputs, targets = self._eval_set
        return {"inputs": inputs[indices], "targets": targets[indices]}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over the sequences, beside what takes no memory.

        Returns:
          "cross_entropy" (all steps), "recall_cross_entropy" and "recall_accuracy" (the
          last ten); "memoryless_cross_entropy" of a memoryless predictor that knows when to recall;
          "paper_loss", the cross-entropy over 50 that the paper calls MSE; "solved", 1
          or 0; "length" and "delay" in steps; "num_weights".
        """
        summary = super().summarise(scores)
        data, length = self.config.data, self.units_per_example
        overwritten = data.layout == "code" and data.T == NUM_SYMBOLS
        unknown_symbols = NUM_SYMBOLS - overwritten
        return summary | {
            "memoryless_cross_entropy": unknown_symbols * float(np.log(8)) / length,
            "paper_loss": summary["cross_entropy"] / _PAPER_TEST_BATCH,
            "solved": int(summary["recall_cross_entropy"] < self.solved),
            "length": length,
            "delay": copy_memory.delay(data.T, data.layout),
        }

    def figures(
        self, model: SequenceClassifier, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Draws the hidden state, and in recall.png what was recalled of a sequence."""
        from nwm_jax.experiments.sequences import figures as hidden

        batch = self.eval_batch(np.array([self.num_eval - 1]))
        answer = jax.jit(lambda model, batch: jax.nn.softmax(model(self.inputs(batch))))
        recall = hidden.draw_recall(
            folder / "recall.png",
            batch["inputs"][0],
            np.asarray(answer(model, batch))[0],
            batch["targets"][0],
            title=f"{self.title}: symbols shown, answered, asked for",
        )
        return [*super().figures(model, folder), recall]

    def stop(self, metrics: Mapping[str, float]) -> str | None:
        """Returns why training ends early: an evaluation found the task solved."""
        if self.config.stop_when_solved and metrics.get("solved"):
            error = metrics["recall_cross_entropy"]
            return f"solved: cross-entropy of the recalled symbols {error:.2g}"
        return None

"""Tasks: data, model, loss and scores bound together for the loop."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.errors import UserError
from nwm_jax.evaluation import Evaluation


class Task(Evaluation, Protocol):
    """What the training loop and the evaluation know of an experiment.

    A task knows nothing of devices, checkpoints or progress bars. It is itself the
    `evaluation.Evaluation` by which training is followed.

    Attributes:
      best: (flat key of the summary, "min" or "max") by which checkpoints compare;
        None if they do not.
      units_per_example: frames (or tokens) of one example, for the speed that is shown.
    """

    best: tuple[str, str] | None
    units_per_example: int

    def init(self, key: jax.Array) -> nnx.Module:
        """Draws a new model."""

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Rows `rows` of the global batch of `step`: a pure function of (seed, step)."""

    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """(mean loss, (scalar metrics, next state)); runs inside the compiled step."""

    def evaluations(self, metrics: Sequence[str] = ()) -> dict[str, Evaluation]:
        """What the named metrics (none: the usual ones) are computed by.

        Raises:
          UserError: an unknown metric, or one that the data cannot give.
        """

    def figures(self, model: nnx.Module, folder: pathlib.Path) -> list[pathlib.Path]:
        """Draws the task's own pictures into a folder."""


def build(
    config: ConfigDict, progress: Callable[[int, int], None] | None = None
) -> Task:
    """Builds the task that a config names.

    Args:
      config: a resolved config; `config.task` names the task.
      progress: called as progress(done, total) while data is made.

    Returns:
      The task. Data that it needs is made or opened now.

    Raises:
      UserError: unknown task, or what the task finds wrong in the config or the data.
    """
    if config.task == "forecasting":
        from nwm_jax.tasks.forecasting import Forecasting

        return Forecasting(config, progress=progress)
    raise UserError(f"unknown task {config.task!r}; choose forecasting")

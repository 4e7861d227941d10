"""What a task is: data, model, loss and scores bound together for the loop."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx

from nwm_jax.training.evaluation import Evaluation

# Takes what is being done; gives a progress(done, total) to call while it is.
Counter = Callable[[str], Callable[[int, int], None]]


class Task(Evaluation, Protocol):
    """What the training loop and the evaluation know of an experiment.

    A task knows nothing of devices, checkpoints or progress bars. It is itself the
    `training.evaluation.Evaluation` of its results, and training is followed by it too
    unless the task has a `validation`, an `Evaluation` of data of its own.

    Attributes:
      best: (flat key of the summary, "min" or "max") by which checkpoints compare;
        None if they do not.
      units_per_example: frames (or tokens) of one example, for the speed that is shown.
      curve: the training metric whose curve is drawn; not the loss where a constant
        in it would hide the rest.
      followed: flat key of the summary by which training is followed.
      scored: which checkpoint is evaluated in the end, "last" or "best"; where a task
        does not say, it is the last.
      note: one line that a user should read before training; empty if there is none.
      preparation: what takes time when the data is made, for a progress bar; empty if
        nothing does, and then no `progress` is taken.
    """

    best: tuple[str, str] | None
    units_per_example: int
    curve: str
    followed: str
    note: str
    preparation: str

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

    def forward_flops(self) -> float:
        """Floating-point operations of the loss of one batch, about; reads no data."""

    def figures(self, model: nnx.Module, folder: pathlib.Path) -> list[pathlib.Path]:
        """Draws the task's own pictures into a folder."""

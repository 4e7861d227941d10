"""What a task is: data, model, loss and scores bound together for the loop."""

import abc
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from nwm_jax.errors import UserError, unknown
from nwm_jax.modules import functional
from nwm_jax.training.evaluation import Evaluation, Model

# Takes what is being done; returns a progress(done, total) to call while it is.
Counter = Callable[[str], Callable[[int, int], None]]


class Task(Evaluation[Model]):
    """Everything that the training loop and the verbs know of an experiment.

    A task knows nothing of devices, checkpoints or progress bars. It is itself the
    `training.evaluation.Evaluation` of its results, and training is followed by it too
    unless there is a `validation`. A task of your own
    sets `num_eval` and defines `init`, `batch`, `loss`, `eval_batch`, `score` and
    `summarise`; everything else has a default.

    Args:
      config: the resolved config.

    Attributes:
      metric: the name of the task's own scores, for ``--metrics``.
      extras: classes of its further evaluations, in the order in which their headlines
        are shown; each has a `part`.
      best: (flat key of the summary, "min" or "max") by which checkpoints compare;
        None if they do not.
      scored: which checkpoint is evaluated after training, "last" or "best".
      num_periodic: how many examples the evaluations during training see.
      validation: the same scores of data that are neither trained nor tested on, by
        which training is followed; None where the task's own do.
      units_per_example: frames (or tokens) of one example, for the speed that is shown.
      curve: the training metric whose curve is drawn; not the loss where a constant
        in it would hide the rest.
      followed: flat key of the summary by which training is followed.
      tabulated: flat keys of the summary that stand in tables of many runs.
      title: what stands above the pictures of `figures`.
      note: one line that a user should read before training; empty if there is none.
      preparation: what takes time when the data is made, for a progress bar; empty if
        nothing does, and then no `progress` is passed to the class.
    """

    metric: str = "scores"
    extras: Sequence[type[Evaluation]] = ()
    best: tuple[str, Literal["min", "max"]] | None = None
    scored: Literal["last", "best"] = "last"
    num_periodic: int = 64
    validation: "Task | None" = None
    units_per_example: int = 1
    curve: str = "loss"
    followed: str = "loss"
    tabulated: Sequence[str] = ()
    note: str = ""
    preparation: str = ""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.title = config.name
        self.eval_batch_size = config.eval.batch_size

    @property
    def dataset(self) -> str:
        """What the data is, whatever the config calls it; for eval.json and tables."""
        return self.config.data.name

    @functools.cached_property
    def graphdef(self) -> nnx.GraphDef[Model]:  # type: ignore[override]  # can be set all the same
        """Returns structure of the model, from its shapes alone."""
        return functional.split(nnx.eval_shape(lambda: self.init(jax.random.key(0))))[0]

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Model:
        """Draws a new model."""

    @abc.abstractmethod
    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Rows `rows` of the global batch of `step`: a pure function of (seed, step)."""

    @abc.abstractmethod
    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """Returns (mean loss, (scalar metrics, next state)); runs in the compiled step."""

    def evaluations(self, metrics: Sequence[str] = ()) -> dict[str, Evaluation]:
        """Returns what the named metrics (none: the usual ones) are computed by.

        Raises:
          UserError: an unknown metric, or one that these data do not have.
        """
        made: dict[str, Evaluation] = {self.metric: self}
        for name in metrics:
            if name not in made:
                raise unknown("metric", name, made)
        return made

    def evaluation_on(self, data: str) -> dict[str, Evaluation]:
        """Returns the evaluations on other data than the run's own, by metric.

        Args:
          data: a folder, or the name of a dataset.

        Raises:
          UserError: the task has none, or no such data.
        """
        raise UserError(f"--data={data} needs a forecaster; this run's task is another")

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats eval.json for the screen: its own numbers, then those of `extras`."""
        parts = {extra.part: extra for extra in cls.extras}
        own = {key: value for key, value in summary.items() if key not in parts}
        lines = super().headline(own)
        for part, extra in parts.items():
            if isinstance(summary.get(part), Mapping):
                lines += extra.headline(summary[part])
        return lines

    def threshold(self, summary: Mapping[str, Any]) -> float | None:
        """Returns the error that the curve over frames is compared with, if any.

        Args:
          summary: what eval.json holds.
        """
        del summary
        return None

    def check_size(self) -> None:
        """Refuses data that this machine cannot make; called before it is made.

        Raises:
          UserError: it needs more memory or disk than there is.
        """

    def bytes_per_example(self) -> float:
        """Returns the least bytes that a step holds of one example; 0: unknown."""
        return 0.0

    def forward_flops(self) -> float:
        """Returns the operations of the loss of one batch; reads no data. 0: unknown."""
        return 0.0

    def figures(self, model: Model, folder: pathlib.Path) -> list[pathlib.Path]:
        """Draws the task's own pictures into a folder."""
        del model, folder
        return []

    def stop(self, metrics: Mapping[str, float]) -> str | None:
        """Returns why training ends now, or None.

        Args:
          metrics: what was just logged or evaluated, flat.
        """
        del metrics
        return None

"""A step whose loss or gradient was not finite: what is kept of it, and the error."""

import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.training.task import Task

_DUMP = "nan_dump"


class NonFiniteError(UserError, FloatingPointError):
    """The loss or the gradient was not finite; the bad update was not applied.

    Args:
      message: one line.
      step: the number of updates before it.
      metrics: what that step had, "loss" and "grad_norm" among it.
    """

    def __init__(self, message: str, step: int = 0, metrics: Mapping | None = None):
        super().__init__(message)
        self.step, self.metrics = step, dict(metrics or {})


def dump(
    folder: pathlib.Path, config: Any, task: Task, step: int, metrics: dict[str, float]
) -> None:
    """Writes the batch and the metrics of a step: nan_dump.npz and nan_dump.json."""
    buffer = io.BytesIO()
    batch: dict[str, Any] = task.batch(step, np.arange(config.batch_size))
    np.savez(buffer, **batch)
    files.write_atomic(folder / f"{_DUMP}.npz", buffer.getvalue())
    shown = {name: repr(value) for name, value in metrics.items()}
    report = {"step": step, "seed": config.seed, "metrics": shown}
    files.write_json(folder / f"{_DUMP}.json", report)


def error(
    folder: pathlib.Path, step: int, metrics: dict[str, float], kept: str
) -> NonFiniteError:
    """Returns the error that names the step, the dump and the remedy.

    Args:
      folder: of the run.
      step: the number of updates before the step.
      metrics: of the step.
      kept: which checkpoint there is, a phrase.
    """
    return NonFiniteError(
        f"not finite in step {step + 1}: loss {metrics['loss']:.4g}, gradient norm "
        f"{metrics['grad_norm']:.4g}; that update was not applied and {kept}; see "
        f"{folder / f'{_DUMP}.json'}, and try a smaller "
        "optimizer.learning_rate or optimizer.clip=1 in a new --workdir",
        step,
        metrics,
    )

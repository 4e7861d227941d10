"""What an evaluation is: a fixed set of examples, their scores, a summary."""

import abc
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from flax import nnx

#: What a task's `init` draws, and all of its evaluations take.
Model = TypeVar("Model")


class Evaluation(abc.ABC, Generic[Model]):
    """A score of a model over a fixed set of examples; `training.evaluating` runs it.

    Attributes:
      part: the key of eval.json under which `summarise` puts its numbers; empty if they
        stand at the top.
      graphdef: structure of the model, see `modules.functional`.
      num_eval: number of examples.
      eval_batch_size: how many of them at a time.
    """

    part: str = ""
    graphdef: nnx.GraphDef[Model]
    num_eval: int
    eval_batch_size: int

    @abc.abstractmethod
    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns examples of the fixed set, host arrays ``[len(indices), ...]``."""

    @abc.abstractmethod
    def score(self, model: Model, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Returns scores of every example, ``[n, ...]``; compiled by the caller."""

    @abc.abstractmethod
    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns scores of the whole set to a part of eval.json."""

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats the most important numbers of a summary for the screen.

        Args:
          summary: what eval.json holds: all of it, or `summary[part]` if there is one.

        Returns:
          Lines; by default one for each number and one for each group of numbers.
        """
        if cls.part:
            return [line(cls.part, summary)]
        numbers = {k: {"": v} for k, v in summary.items() if is_number(v)}
        groups = {
            name: group
            for name, group in summary.items()
            if isinstance(group, Mapping) and any(map(is_number, group.values()))
        }
        return [line(name, values) for name, values in (numbers | groups).items()]


def is_number(value: Any) -> bool:
    """Returns whether a value of eval.json is a number, or null instead of one."""
    return value is None or isinstance(value, (int, float))


def line(name: str, values: Mapping[str, Any], note: str = "") -> str:
    """Formats a name and the numbers among some values; null is shown as a dash.

    Args:
      name: what the numbers are.
      values: numbers by name; others are left out.
      note: what stands after them.
    """
    numbers = (
        f"{key} {'-' if value is None else f'{value:.4g}'}"
        for key, value in values.items()
        if is_number(value)
    )
    return f"  {name:15s}  {'  '.join(numbers)}{note}"

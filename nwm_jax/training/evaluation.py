"""Scores of forecasts: errors, valid prediction time, symplecticity, energy.

`mse` has pure functions on arrays of images. The other files have an `Evaluation`
each, made from a forecasting task; the task is the evaluation of its errors.
"""

from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx


class Evaluation(Protocol):
    """A score of a model over a fixed set of examples; `training.evaluating` runs it.

    Attributes:
      graphdef: structure of the model, see `modules.functional`.
      num_eval: number of examples.
      eval_batch_size: how many of them at a time.
    """

    graphdef: nnx.GraphDef
    num_eval: int
    eval_batch_size: int

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Examples `indices` of the fixed set, host arrays ``[len(indices), ...]``."""

    def score(
        self, model: nnx.Module, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Scores of every example, ``[n, ...]``; compiled by the caller."""

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Scores of the whole set to a part of eval.json."""

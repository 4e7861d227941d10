"""How much of a hidden state travels round its ring, one place a step."""

import math
from typing import Any

import jax
import numpy as np

from nwm_jax.models.sequences import SequenceClassifier
from nwm_jax.training.evaluation import Evaluation
from nwm_jax.waves import line

_EXAMPLES = 8


class WaveLine(Evaluation[SequenceClassifier]):
    """The part of the power of hidden states on the line of a speed, see `waves.line`.

    Args:
      task: a sequence task whose model is a wave RNN or an identity RNN.
      speed: places a step.
    """

    part = "wave_line"

    def __init__(self, task: Any, speed: float) -> None:
        self._task, self._speed = task, speed
        self.graphdef = task.graphdef
        self.num_eval = min(_EXAMPLES, task.num_eval)
        self.eval_batch_size = min(_EXAMPLES, task.eval_batch_size)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the last examples of the task's set."""
        return self._task.eval_batch(self._task.num_eval - 1 - indices)

    def score(
        self, model: SequenceClassifier, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns the hidden states, ``[n, T, places, C]``."""
        return {"states": model.states(self._task.inputs(batch))}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns the parts on the lines of waves in both directions, and their area.

        Returns:
          "wave_line": {"fraction", "backward", "area"}; the area is what a state
          without any order would have. NaN where sequences are too short to show the
          directions apart.
        """
        states = np.moveaxis(scores["states"], -1, 1)
        length, places = states.shape[-2:]
        there, apart = line.on_line(length, places, self._speed)
        return {
            "wave_line": {
                "fraction": line.fraction(states, self._speed),
                "backward": line.fraction(states, -self._speed),
                "area": float(there[:, apart].mean()) if apart.any() else math.nan,
            }
        }

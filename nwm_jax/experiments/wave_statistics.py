"""What waves a hidden state carries: the numbers of `waves.statistics` of a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from nwm_jax.training.evaluation import Evaluation, Model, line
from nwm_jax.waves import describe
from nwm_jax.waves import summary as numbers

#: Frames without which a state has no statistics, beside those that are skipped.
LEAST_FRAMES = 4
_EXAMPLES = 16
_HEADLINE = (
    "coherence",
    "one_sided_coherence",
    "travelling_index",
    "wave_number",
    "frequency",
    "speed",
)
_UNITS = describe.names(describe.Units(time="frame", length="cell"))
_CHANNELS = 4

#: Numbers that do not depend on how the cells lie, for cells without a place.
PLACELESS = ("frequency", "travelling_index", "synchrony", "temporal_length")
#: Numbers of every cell's place, of which a mean over examples has a meaning.
NUMBERS = (
    *PLACELESS,
    "coherence",
    "one_sided_coherence",
    "momentary_coherence",
    "gradient_coherence",
    "plane_wave",
    "wave_number",
    "speed",
    "spatial_length",
    "singular_fraction",
    "velocity",
)


class WaveStatistics(Evaluation[Model]):
    """The wave statistics of the hidden states of a task's examples.

    Args:
      task: a task, of whose evaluation set the first examples are taken.
      states: (model, batch of the task) -> positions ``[n, T, H, W, C]``, ``[n, T,
        places, C]`` of one ring, or ``[n, T, N]`` of cells without a place; jittable.
      rings: whether rows are separate rings.
      band: (low, high), cycles per frame, see `waves.statistics`; None: not filtered.
      setting: of `waves.wave_signal`.
      skip: frames that are left out at the start.
      num: examples, at most as many as there are.
    """

    part = "waves"

    def __init__(
        self,
        task: Evaluation[Model],
        states: Callable[[Model, dict[str, jax.Array]], jax.Array],
        *,
        rings: bool = False,
        band: tuple[float, float] | None = None,
        setting: str = "generalized",
        skip: int = 0,
        num: int = _EXAMPLES,
    ) -> None:
        self._task, self._states = task, states
        self._rings = rings
        self._options: dict[str, Any] = {"band": band, "setting": setting, "skip": skip}
        self.graphdef = task.graphdef
        self.num_eval = min(num, task.num_eval)
        self.eval_batch_size = min(num, task.eval_batch_size)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the first examples of the task's set."""
        return self._task.eval_batch(indices)

    def score(self, model: Model, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Returns the hidden states."""
        return {"states": self._states(model, batch)}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over examples and channels (of many the four that vary most).

        Returns:
          {"waves": {"examples", "channels", "skip", "band", "setting", ...}} with the
          numbers of `waves.signal_statistics`; None where no example has one. Of cells
          without a place only those that do not depend on it.
        """
        states = np.asarray(scores["states"], np.float64)
        placeless, rings = states.ndim == 3, self._rings
        if placeless:
            states = states[:, :, None, :, None]
        elif states.ndim == 4:
            states, rings = states[:, :, None], True
        spread = states.var(axis=1).mean(axis=(0, 1, 2))
        chosen = np.argsort(-spread, kind="stable")[:_CHANNELS]
        examples = [
            numbers.statistics(example[..., channel], rings=rings, **self._options)
            for example in states
            for channel in chosen
        ]
        names = PLACELESS if placeless else NUMBERS
        header = {"examples": len(states), "channels": len(chosen), **self._options}
        return {"waves": header | {name: _mean(examples, name) for name in names}}

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats how coherent the waves are, how much travels, and how fast."""
        shown = {k: summary[k] for k in _HEADLINE if k in summary}
        units = [f"{name} in {_UNITS[name]}" for name in shown if name in _UNITS]
        return [line(cls.part, shown, f"  ({', '.join(units)})" if units else "")]


def _mean(examples: Sequence[Mapping[str, Any]], name: str) -> Any:
    """Returns the mean of a number or a vector; None where none has it."""
    known = [each[name] for each in examples if each[name] is not None]
    known = [each for each in known if np.ndim(each) == 0 or None not in each]
    if not known:
        return None
    mean = np.mean(known, axis=0)
    return mean.tolist() if np.ndim(mean) else float(mean)

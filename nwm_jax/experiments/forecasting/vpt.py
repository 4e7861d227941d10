"""Valid prediction time: how many frames pass until a forecast has gone wrong.

The measure of Botev et al., arXiv:2111.05458, on whole test trajectories. Two faults of
the original program are not repeated: here every trajectory has a time of its own on
any number of devices, and the backward time is counted from the observed frames
outward, not from the far end of the clip.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core.image_errors import frame_errors, is_lit
from nwm_jax.data import Source
from nwm_jax.data.windows import eval_windows
from nwm_jax.experiments.forecasting.windows import Windows
from nwm_jax.models import ForecastModel, runs_backward
from nwm_jax.training.evaluation import Evaluation, line

THRESHOLD = 0.025
# The published numbers are means over medians of so many trajectories.
GROUP = 5


def valid_frames(forecast: jax.Array, truth: jax.Array) -> jax.Array:
    """Counts the frames before the first whose relative error is above 0.025.

        mean over pixels of (forecast - truth)² > 0.025 · mean of truth²

    Args:
      forecast: ``[..., T, H, W, C]`` in [0, 1]; a frame with a NaN has gone wrong.
      truth: the same shape; frames that are black have no relative error and are
        passed over.

    Returns:
      int32 ``[...]`` in [0, T]; T where no frame is wrong.
    """
    relative = frame_errors(forecast, truth)["relative_mse"]
    wrong = is_lit(truth) & ~(relative <= THRESHOLD)
    first = jnp.argmax(wrong, axis=-1)
    return jnp.where(jnp.any(wrong, axis=-1), first, wrong.shape[-1]).astype(jnp.int32)


class ValidPredictionTime(Evaluation[ForecastModel]):
    """Valid prediction times of whole trajectories, an `training.evaluation.Evaluation`.

    The model sees the first `num_observed` frames; counted are the frames from
    `train_length` on, and, for models that run backward too, the frames before the last
    `train_length`.

    Args:
      windows: of the split whose trajectories are taken. `eval.num_vpt` is their
        number, or all if the split has fewer.
      source: whose test split is taken instead; None: the source of `windows`.
    """

    part = "vpt"

    def __init__(self, windows: Windows, source: Source | None = None) -> None:
        self._split = "test" if source else windows.split
        config, source = windows.config, source or windows.source
        self._windows, self._source = windows, source
        self.graphdef = windows.graphdef
        self.length = source.num_frames
        self.segment = self.length - windows.train_length
        self.num_eval = min(config.eval.num_vpt, source.size(self._split))
        # As many frames at a time as where the errors are computed.
        frames = config.eval.batch_size * windows.window
        self.eval_batch_size = max(1, frames // self.length)
        self._trajectories, self._starts = eval_windows(
            config.data.seed,
            self.num_eval,
            num_trajectories=source.size(self._split),
            num_frames=self.length,
            length=self.length,
        )

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns whole trajectories, and the mean image of the training set."""
        chosen = self._trajectories[indices], self._starts[indices]
        batch = self._source.read(self._split, *chosen, self.length)
        return self._windows.with_mean_image(batch)

    def score(
        self, model: ForecastModel, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns valid frames of every trajectory.

        Returns:
          "forward", for reversible models "backward", and without skill "mean_image"
          and "last_frame": int32 ``[n]`` each.
        """
        images = self._source.decode(batch)["images"]
        truth = images[:, -self.segment :]
        last_seen = images[:, model.num_observed - 1][:, None]
        forecasts = {
            "forward": model.reconstruct(images)[:, -self.segment :],
            "mean_image": jnp.broadcast_to(batch["mean_image"][:, None], truth.shape),
            "last_frame": jnp.broadcast_to(last_seen, truth.shape),
        }
        scores = {name: valid_frames(means, truth) for name, means in forecasts.items()}
        if runs_backward(model):
            means = model.reconstruct_backward(images)[:, : self.segment]
            truth = images[:, : self.segment]
            scores["backward"] = valid_frames(means[:, ::-1], truth[:, ::-1])
        return scores

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means of the medians of five trajectories, medians and means.

        Trajectories that are left over, fewer than five, have no median of their own,
        unless there are no others.

        Returns:
          {"vpt": ...} with "segment", the number of frames that are counted;
          "num_trajectories"; for each direction "<direction>_abs" (the published
          statistic, in frames), "_rel" (in units of the segment), "_median" and
          "_mean" (over all trajectories, in frames); "abs" and "rel", the means over
          the directions; and "mean_image_abs" and "last_frame_abs" without skill.
        """
        summary: dict[str, Any] = {"segment": self.segment}
        summary["num_trajectories"] = len(scores["forward"])
        directions = [name for name in ("forward", "backward") if name in scores]
        for name in directions:
            frames = scores[name]
            summary[f"{name}_abs"] = _mean_of_medians(frames)
            summary[f"{name}_rel"] = summary[f"{name}_abs"] / self.segment
            summary[f"{name}_median"] = float(np.median(frames))
            summary[f"{name}_mean"] = float(np.mean(frames))
        for unit in ("abs", "rel"):
            both = [summary[f"{name}_{unit}"] for name in directions]
            summary[unit] = float(np.mean(both))
        for guess in ("mean_image", "last_frame"):
            summary[f"{guess}_abs"] = _mean_of_medians(scores[guess])
        return {"vpt": summary}

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats the published statistic of every direction and of no skill."""
        names = ("forward_abs", "backward_abs", "mean_image_abs", "last_frame_abs")
        frames = {name[:-4]: summary[name] for name in names if name in summary}
        of = "".join(f" of {summary[k]}" for k in ("segment", "data") if k in summary)
        return [line(cls.part, frames, f"  (frames{of}, medians of 5)")]


def _mean_of_medians(frames: np.ndarray) -> float:
    if len(frames) < GROUP:
        return float(np.median(frames))
    groups = frames[: len(frames) // GROUP * GROUP].reshape(-1, GROUP)
    return float(np.mean(np.median(groups, axis=1)))

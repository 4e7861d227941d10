"""Squared errors of forecast frames, absolute and relative (`core.image_errors`).

The published table of Neural Wave Machines (ICML 2023) is the benchmark's
`forward_extrapolation_l2_norm`: a relative error which that program divided by the
number of values of a frame once too often, given in units of 1e-8. `table_units`
repeats it, so that numbers can be compared; `relative_mse` is the error itself.
"""

from typing import Any

import jax
import numpy as np

from nwm_jax.core.image_errors import frame_errors, is_lit
from nwm_jax.models import ForecastModel, runs_backward


def table_units(relative_mse: float, image_shape: tuple[int, ...]) -> float:
    """Returns a relative error in the units of the published table.

    Args:
      relative_mse: mean over frames of the relative error of a frame.
      image_shape: (H, W, C).

    Returns:
      ``1e8 relative_mse / (H W C)``.
    """
    height, width, channels = image_shape
    return 1e8 * relative_mse / (height * width * channels)


def score(
    model: ForecastModel, images: jax.Array, mean_image: jax.Array
) -> dict[str, jax.Array]:
    """Returns errors of a roll-out of every window, and of guesses without skill.

    Args:
      model: sees the first `num_observed` frames; the last ones if it runs backward.
      images: windows ``[n, T, H, W, C]`` in [0, 1].
      mean_image: of the training set, ``[n, H, W, C]``.

    Returns:
      "forecast/mse", "forecast/relative_mse", "mean_image/mse", ...,
      "last_frame/mse", ... (the last frame that was seen): ``[n, T']`` for the last T'
      frames, which are those that the model returns. For reversible models
      "backward/mse" and "backward/relative_mse" of the first frames. "lit", bool
      ``[n, T]``: which true frames are not black.
    """
    means = model.reconstruct(images)
    truth = images[:, -means.shape[1] :]
    pairs = {
        "forecast": (means, truth),
        "mean_image": (mean_image[:, None], truth),
        "last_frame": (images[:, model.num_observed - 1][:, None], truth),
    }
    if runs_backward(model):
        means = model.reconstruct_backward(images)
        pairs["backward"] = (means, images[:, : means.shape[1]])
    return {"lit": is_lit(images)} | {
        f"{name}/{measure}": error
        for name, (means, truth) in pairs.items()
        for measure, error in frame_errors(means, truth).items()
    }


def summarise(
    scores: dict[str, np.ndarray], horizon: int, image_shape: tuple[int, ...]
) -> dict[str, Any]:
    """Returns means over the windows, of the extrapolated frames and of each frame.

    Args:
      scores: of all windows, from `score`.
      horizon: how many frames of a window are extrapolation: the last ones, or, run
        backward, the first ones.
      image_shape: (H, W, C).

    Returns:
      "mse", "relative_mse" and "table_units" of the extrapolation, each {"forecast",
      "mean_image", "last_frame"}; "standard_error" of the forecast's relative MSE over
      windows; "per_window": {"relative_mse": that of each window, NaN where all its
      frames are black}; "per_frame": {"frame": numbers from 0, "mse": {"forecast": [...], ...},
      "relative_mse": ...}. For reversible models "backward" with the three measures
      and "per_frame", and "combined" with the means of both directions. Relative errors
      leave out black frames; where there is nothing else they are NaN.
    """
    window, length = scores["lit"].shape[1], scores["forecast/mse"].shape[1]
    lit = scores["lit"][:, -length:]
    summary: dict[str, Any] = {"mse": {}, "relative_mse": {}, "table_units": {}}
    per_frame: dict[str, Any] = {"frame": list(range(window - length, window))}
    per_frame |= {"mse": {}, "relative_mse": {}}
    last = slice(-horizon, None)
    for name in ("forecast", "mean_image", "last_frame"):
        means, frames = _errors(scores, name, lit, last, image_shape)
        for measure, value in means.items():
            summary[measure][name] = value
        for measure, values in frames.items():
            per_frame[measure][name] = values
    lit = lit[:, last]
    windows = _mean(scores["forecast/relative_mse"][:, last], lit, axis=1)
    counted = windows[lit.any(axis=1)]
    error = np.std(counted) / np.sqrt(len(counted)) if len(counted) else np.nan
    summary |= {"standard_error": float(error), "per_frame": per_frame}
    summary["per_window"] = {"relative_mse": _rounded(windows)}
    if "backward/mse" in scores:
        length = scores["backward/mse"].shape[1]
        lit, first = scores["lit"][:, :length], slice(horizon)
        means, frames = _errors(scores, "backward", lit, first, image_shape)
        per_frame = {"frame": list(range(length))} | frames
        summary["backward"] = means | {"per_frame": per_frame}
        summary["combined"] = {
            measure: (value + summary[measure]["forecast"]) / 2
            for measure, value in means.items()
        }
    return summary


def _errors(
    scores: dict[str, np.ndarray],
    name: str,
    lit: np.ndarray,
    where: slice,
    image_shape: tuple[int, ...],
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """One's errors by measure: means over the frames `where`, and of each frame."""
    means, frames = {}, {}
    for measure, counted in (("mse", np.ones_like(lit)), ("relative_mse", lit)):
        errors = _mean(scores[f"{name}/{measure}"], counted, axis=0)
        there = np.any(counted, axis=0)
        means[measure] = float(_mean(errors[where], there[where]))
        frames[measure] = _rounded(errors)
    means["table_units"] = table_units(means["relative_mse"], image_shape)
    return means, frames


def _rounded(errors: np.ndarray) -> list[float]:
    """Returns errors of single precision, of which eight digits say all."""
    return [float(f"{error:.8g}") for error in errors]


def _mean(values: np.ndarray, where: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Returns the mean of the values that count; NaN where none does."""
    total = np.sum(values, axis=axis, where=where, dtype=np.float64)
    count = np.sum(where, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

"""The figures of a run, from its checkpoint, its metrics and its evaluation."""

import copy
import pathlib
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.figures import curves
from nwm_jax.models import ForecastModel
from nwm_jax.runs import opened, scores, workdirs
from nwm_jax.training import writers


def draw(
    run: opened.Run, say: Callable[[str], None] | None = None
) -> list[pathlib.Path]:
    """Draws all figures of a run into its folder `figures/`.

    The error curve belongs to the checkpoint that eval.json scored: it is left out
    where the run was opened at another step.

    Args:
      run: an opened run; a curve of what it has not logged or evaluated, or of which
        no number can be drawn, is left out.
      say: called with one line if the error curve is of another step.

    Returns:
      The pictures.

    Raises:
      UserError: the run has no folder.
    """
    if run.card is not None:
        raise UserError(
            f"{run.workdir} is no folder to draw into: train a run of your own, or call "
            "task.figures(model, folder) of nwm_jax.runs.opened.open_run in Python"
        )
    folder = run.workdir / "figures"
    folder.mkdir(exist_ok=True)
    task, title = copy.copy(run.task), run.title
    task.title = title
    paths = task.figures(run.model, folder)
    scored = scores.read_scores(run.workdir)
    if "per_frame" in scored and scored["step"] != run.step:
        if say:
            say(
                f"error.png is left out: {scores.EVALUATION} is of step "
                f"{scored['step']}, the figures are of step {run.step}; run "
                f"python -m nwm_jax.evaluate with --which={run.step} first"
            )
    elif "per_frame" in scored:
        with workdirs.understood():
            first, errors = _error_curves(scored)
        if any(np.nanmax(curve, initial=0) > 0 for curve in errors.values()):
            model = cast(ForecastModel, run.model)  # only these are scored by frame
            paths.append(
                curves.draw_error(
                    folder / "error.png",
                    errors,
                    first_frame=first,
                    num_observed=model.num_observed,
                    threshold=run.task.threshold(scored),
                    title=title,
                )
            )
    key = run.task.curve
    rows = [row for row in writers.read_metrics(run.workdir) if row["kind"] == "train"]
    if any(np.isfinite(row.get(key, np.nan)) for row in rows):
        metrics, path = run.workdir / writers.METRICS, folder / "loss.png"
        paths.append(curves.draw_training(path, metrics, key=key, title=title))
    return paths


def _error_curves(scored: dict[str, Any]) -> tuple[int, dict[str, np.ndarray]]:
    """Returns the first frame, and from there on everyone's relative errors."""
    forward = scored["per_frame"]
    curves = {
        name: (forward["frame"], errors)
        for name, errors in forward["relative_mse"].items()
    }
    if "backward" in scored:
        backward = scored["backward"]["per_frame"]
        curves = {"forecast": curves.pop("forecast")} | {
            "backward": (backward["frame"], backward["relative_mse"]),
            **curves,
        }
    first = min(min(frames) for frames, _ in curves.values())
    length = 1 + max(max(frames) for frames, _ in curves.values()) - first
    errors = {name: np.full(length, np.nan) for name in curves}
    for name, (frames, values) in curves.items():
        errors[name][np.asarray(frames) - first] = np.asarray(values, float)
    return first, errors

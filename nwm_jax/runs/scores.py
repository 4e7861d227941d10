"""The file of a run's scores, eval.json: what it says of the run, and what is kept."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.training import mesh
from nwm_jax.training.task import Task
from nwm_jax.training.writers import read_metrics

if TYPE_CHECKING:
    from nwm_jax.training.non_finite import NonFiniteError

EVALUATION = "eval.json"
#: Where the scores of the split "valid" go.
VALIDATION = "eval_valid.json"


def path(
    workdir: pathlib.Path | None, split: str, out: str | os.PathLike | None = None
) -> pathlib.Path:
    """Returns the file that scores go to.

    Args:
      workdir: the folder of the run, if it has one.
      split: "test" or "valid".
      out: the file, where it is not the one of the workdir.

    Raises:
      UserError: neither a folder nor a file, or one that does not end in .json.
    """
    if out is not None:
        if pathlib.Path(out).suffix != ".json":
            raise UserError(f"scores are written to a file ending in .json, not {out}")
        return pathlib.Path(out)
    if workdir is None:
        raise UserError("pretrained weights have no workdir: name a file with --out")
    return workdir / (VALIDATION if split == "valid" else EVALUATION)


def write_divergence(
    workdir: str | os.PathLike, config: ConfigDict, task: Task, error: NonFiniteError
) -> None:
    """Writes the eval.json of a run that ended because a step was not finite.

    It has no scores, but "diverged": the number of that step, its loss and its gradient
    norm as texts.

    Args:
      workdir: the folder of the run.
      config: its config.
      task: its task.
      error: what ended it.
    """
    numbers = {name: repr(error.metrics[name]) for name in ("loss", "grad_norm")}
    shapes = nnx.eval_shape(lambda: task.init(jax.random.key(0)))
    report = head(config, task, error.step, functional.split(shapes)[1])
    report["diverged"] = {"step": error.step + 1, **numbers}
    if mesh.is_primary():
        report |= spent(workdir, error.step)
        files.write_json(pathlib.Path(workdir) / EVALUATION, report)


def head(config: ConfigDict, task: Task, step: int, params: Any) -> dict[str, Any]:
    """Returns what eval.json says of the run itself."""
    head = {
        "protocol": config.protocol,
        "name": config.name,
        "dataset": task.dataset,
        "model": config.model.name,
        "preset": config.preset,
        "seed": config.seed,
        "step": step,
        "num_windows": task.num_eval,
        "num_parameters": functional.count(params),
    }
    if path := config.data.get("path"):
        head["path"] = path  # whose data "dataset" names
    return head


def spent(workdir: str | os.PathLike, step: int) -> dict[str, float]:
    """Returns the processor seconds of training up to a step, if they were logged."""
    rows = [row for row in read_metrics(workdir) if row["step"] <= step]
    known = [row["cpu_seconds"] for row in rows if "cpu_seconds" in row]
    return {"cpu_seconds": known[-1]} if known else {}


def read_scores(workdir: str | os.PathLike, name: str = EVALUATION) -> dict[str, Any]:
    """Reads what `evaluate` wrote.

    Args:
      workdir: the folder of a run.
      name: of the file.

    Returns:
      What it holds; {} where it is missing, damaged or of something else.
    """
    try:
        stored = files.read_json(pathlib.Path(workdir) / name)
    except UserError:
        return {}
    whole = isinstance(stored, dict) and {"protocol", "step"} <= stored.keys()
    return stored if whole else {}


def kept(path: pathlib.Path, report: dict[str, Any]) -> dict[str, Any]:
    """Returns the scores in a file, if they are of the same weights and windows."""
    stored = read_scores(path.parent, path.name)
    same = all(stored.get(name) == value for name, value in report.items())
    return {k: v for k, v in stored.items() if k not in report} if same else {}


def without_nan(value: Any) -> Any:
    """Puts None instead of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value

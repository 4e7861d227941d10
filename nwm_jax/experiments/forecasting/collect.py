"""Reads what a table needs of workdirs: their config.json and eval.json, no more."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.data import identity
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import datasets
from nwm_jax.runs import workdirs

#: Measures of a table, and where eval.json has them: the group, the key of the
#: forecast, the ending of the keys of forecasts without skill. VPT is that of the
#: forward forecast, in frames, which all models have.
MEASURES = {
    "table_units": ("table_units", "forecast", ""),
    "relative_mse": ("relative_mse", "forecast", ""),
    "mse": ("mse", "forecast", ""),
    "vpt": ("vpt", "forward_abs", "_abs"),
}
NO_SKILL = ("mean_image", "last_frame")


class Entry(NamedTuple):
    """One evaluated run.

    Attributes:
      workdir: its folder.
      dataset: the dataset's short name in configs ("spring", not "mass_spring"); of
        data that is no known dataset the end of its path, such as "clips/frames.npy".
      model: its model.
      protocol: the protocol of the evaluation, by name.
      seed: the seed of the run.
      step: the step that was evaluated.
      num_steps: the last step of the run.
      num_windows: windows of the test set.
      num_parameters: parameters of the model.
      score: the measure's value; NaN where the forecast is not finite, or training
        ended because a step was not.
      no_skill: the same of forecasts without skill; {} where there are none.
      diverged: whether training ended because a step was not finite.
      cpu_seconds: processor seconds of the training; NaN where none were logged.
      frames: (first, last) frame of a window that is scored, from 0; None if unknown.
      per_window: relative MSE of every window [num_windows], NaN where all its frames
        are black; empty where eval.json has none.
    """

    workdir: pathlib.Path
    dataset: str
    model: str
    protocol: str
    seed: int
    step: int
    num_steps: int
    num_windows: int
    num_parameters: int
    score: float
    no_skill: dict[str, float]
    diverged: bool = False
    cpu_seconds: float = math.nan
    frames: tuple[int, int] | None = None
    per_window: np.ndarray = np.empty(0)


def collect(
    folders: Sequence[pathlib.Path], measure: str = "table_units"
) -> tuple[list[Entry], list[str]]:
    """Reads workdirs.

    Args:
      folders: workdirs.
      measure: a key of `MEASURES`.

    Returns:
      The runs, in the order of their folders' names; and one line for each that is
      left out (not a workdir, not evaluated, damaged, the same experiment with the
      same seed once more) or was evaluated before its last step.

    Raises:
      UserError: no run could be read.
    """
    entries, notes = workdirs.collect(
        folders,
        lambda folder: read(folder, measure),
        lambda entry: (entry.protocol, entry.dataset, entry.model, entry.seed),
    )
    notes += [
        f"note: {entry.workdir} {'diverged after' if entry.diverged else 'was evaluated at'}"
        f" step {entry.step:,} of {entry.num_steps:,}"
        for entry in entries
        if entry.step != entry.num_steps
    ]
    if not entries:
        raise workdirs.nothing(notes)
    return entries, notes


def read(workdir: pathlib.Path, measure: str = "table_units") -> Entry:
    """Reads one workdir.

    Raises:
      UserError: it is not a workdir, has not been evaluated, or is damaged.
    """
    config, evaluation = workdirs.read(workdir), workdirs.scores(workdir)
    group, key, ending = MEASURES[measure]
    with workdirs.understood():
        diverged = "diverged" in evaluation
        if evaluation.get(group) is None and not diverged:
            raise UserError(f"its eval.json has no {group}; evaluate it again")
        return Entry(
            workdir=workdir,
            dataset=dataset(config["data"], evaluation),
            model=str(config["model"]["name"]),
            protocol=str(evaluation["protocol"]),
            seed=int(evaluation["seed"]),
            step=int(evaluation["step"]),
            num_steps=int(config["num_steps"]),
            num_windows=int(evaluation["num_windows"]),
            num_parameters=int(evaluation["num_parameters"]),
            score=math.nan if diverged else _number(evaluation[group], key),
            no_skill={
                baseline: _number(evaluation[group], baseline + ending)
                for baseline in NO_SKILL
                if not diverged and baseline + ending in evaluation[group]
            },
            diverged=diverged,
            cpu_seconds=float(evaluation.get("cpu_seconds", math.nan)),
            frames=_frames(config, evaluation),
            per_window=np.array(
                evaluation.get("per_window", {}).get("relative_mse", ()), float
            ),
        )


def dataset(data: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Names what a run was trained on, from its config's `data` and its eval.json.

    Where the config has a path its name says nothing: then what is at the path decides
    or, if it is gone, what the evaluation found there. What is unknown is called by the
    last two parts of its path, and never by the name of a dataset.
    """
    path = data.get("path", "")
    if not path:
        return datasets.short_name(data["name"])
    if pathlib.Path(path).is_dir():
        return datasets.short_name(identity.name_of(path))
    if evaluation.get("path") == path:
        return datasets.short_name(evaluation["dataset"])
    return identity.own_name(path)


def _frames(
    config: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> tuple[int, int] | None:
    """Returns the scored frames: the last `eval.horizon` that were forecast."""
    if "per_frame" not in evaluation:
        return None
    last = int(evaluation["per_frame"]["frame"][-1])
    return last - int(config["eval"]["horizon"]) + 1, last


def _number(group: Mapping[str, Any], key: str) -> float:
    """JSON's null stands for a number that is not finite."""
    value = group[key]
    return math.nan if value is None else float(value)

"""The table of runs of sequence tasks: scores, when a task was solved, sizes."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.runs import tables, workdirs
from nwm_jax.runs.tables import Grid
from nwm_jax.training import evaluating, registry, writers

_WAVE = "wave_line/fraction"


class Entry(NamedTuple):
    """One evaluated run.

    Attributes:
      task: its task, a key of `training.registry.KINDS`.
      experiment: the config's name, and the length where the task has one.
      protocol: the protocol of the evaluation, by name.
      seed: the seed of the run.
      step: the step that was evaluated.
      scores: flat numbers of its eval.json.
      solved: the first step whose evaluation found the task solved; None if none did,
        or if it cannot be solved.
      parameters: number of parameters.
      weights: the same without biases.
    """

    task: str
    experiment: str
    protocol: str
    seed: int
    step: int
    scores: dict[str, float]
    solved: int | None
    parameters: int
    weights: int


def collect(folders: Sequence[pathlib.Path]) -> tuple[list[Entry], list[str]]:
    """Reads workdirs of sequence tasks.

    Returns:
      The runs; and a line for each that is left out: not evaluated, damaged, or the
      same experiment with the same seed once more.
    """
    return workdirs.collect(
        folders, read, lambda entry: (entry.experiment, entry.protocol, entry.seed)
    )


def tabulate(
    folders: Sequence[pathlib.Path], measure: str, layout: str
) -> tuple[str, list[str]]:
    """Returns the tables of finished runs.

    Args:
      folders: workdirs.
      measure: not used, all scores have columns.
      layout: a key of `runs.tables.FORMATS`.

    Returns:
      The tables, and a line for each run that is left out.

    Raises:
      UserError: no run could be read.
    """
    del measure
    entries, notes = collect(folders)
    if not entries:
        raise workdirs.nothing(notes)
    return tables.FORMATS[layout](build(entries), notes), notes


def read(folder: pathlib.Path) -> Entry:
    """Reads one workdir.

    Raises:
      UserError: it has not been evaluated, or is damaged.
    """
    config, evaluation = workdirs.read(folder), workdirs.scores(folder)
    with workdirs.understood():
        length = config["data"].get("T")
        name = str(config["name"])
        return Entry(
            task=str(config["task"]),
            experiment=name if length is None else f"{name}, T={length}",
            protocol=str(evaluation["protocol"]),
            seed=int(evaluation["seed"]),
            step=int(evaluation["step"]),
            scores=evaluating.flatten(evaluation),
            solved=_solved(folder),
            parameters=int(evaluation["num_parameters"]),
            weights=int(evaluation["num_weights"]),
        )


def _solved(folder: pathlib.Path) -> int | None:
    for row in writers.read_metrics(folder):
        if row.get("kind") == "eval" and row.get("solved"):
            return int(row["step"])
    return None


def build(entries: Sequence[Entry]) -> list[Grid]:
    """Arranges runs in a table for each task, a row for each experiment and protocol.

    Numbers are means over seeds, with their sample standard deviation if there are
    several.
    """
    grids = []
    for task in sorted({entry.task for entry in entries}):
        mine = [entry for entry in entries if entry.task == task]
        columns = [
            name
            for name in (*registry.kind(task).tabulated, _WAVE)
            if any(name in entry.scores for entry in mine)
        ]
        solvable = any("solved" in entry.scores for entry in mine)
        head = ["experiment", "protocol", "seeds", "steps"]
        head += [_words(name) for name in columns]
        head += ["solved at step"] * solvable + ["parameters", "weights"]
        rows = []
        for key in dict.fromkeys((e.experiment, e.protocol) for e in mine):
            runs = [e for e in mine if (e.experiment, e.protocol) == key]
            row = [*key, str(len(runs)), _counts([run.step for run in runs])]
            row += [_mean([run.scores.get(name) for run in runs]) for name in columns]
            if solvable:
                row.append(_when(runs))
            row += [_counts([run.parameters for run in runs])]
            row += [_counts([run.weights for run in runs])]
            rows.append(row)
        grids.append(Grid(f"Task {task}", head, rows, _legend(head, mine)))
    return grids


def _legend(head: list[str], entries: Sequence[Entry]) -> list[str]:
    """Describes what the numbers are, a sentence each, without full stops."""
    lines = []
    if len({entry.seed for entry in entries}) > 1:
        lines.append("Means over seeds ± their sample standard deviation")
    if "solved at step" in head:
        task: Any = registry.kind(entries[0].task)  # one that can be solved
        lines.append(
            f"Solved at the first evaluation with {_words(task.followed)} below "
            f"{task.solved:g}"
        )
    return [*lines, "Weights are the parameters without biases, as the paper counts"]


def _words(name: str) -> str:
    return name.replace("_", " ").replace("/", " ")


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    text = f"{np.mean(known):.4g}"
    return f"{text} ± {np.std(known, ddof=1):.2g}" if len(known) > 1 else text


def _when(runs: Sequence[Entry]) -> str:
    steps = ["no" if run.solved is None else f"{run.solved:,}" for run in runs]
    return " / ".join(steps)


def _counts(numbers: Sequence[int]) -> str:
    return " / ".join(f"{number:,}" for number in dict.fromkeys(numbers))

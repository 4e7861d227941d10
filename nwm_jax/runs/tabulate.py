"""Tables of finished runs, each experiment's by itself."""

import pathlib
from collections.abc import Sequence

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.runs import tables, workdirs
from nwm_jax.runs.tables import Grid
from nwm_jax.training import evaluating, registry


def tabulate(
    folders: Sequence[pathlib.Path], measure: str | None, layout: str
) -> tuple[list[str], list[str]]:
    """Returns the tables of finished runs.

    Args:
      folders: workdirs.
      measure: of those that show several measures; None: their usual ones.
      layout: a key of `tables.FORMATS`.

    Returns:
      The tables, and a line for each folder that is left out.

    Raises:
      UserError: no run could be read.
    """
    kinds = {folder: registry.find(workdirs.task(folder)) for folder in folders}
    notes = [f"skipped {f}: {_why_not(f)}" for f, kind in kinds.items() if not kind]
    parts, wrong = [], []
    for experiment in registry.experiments():
        mine = [folder for folder in folders if kinds[folder] is experiment]
        if not mine:
            continue
        usual = experiment.measures[0] if experiment.measures else ""
        chosen = measure if measure and measure in experiment.measures else usual
        make = registry.load(experiment.table) or _scores
        try:
            text, more = make(mine, chosen, layout)
        except UserError as error:
            wrong.append(error)
        else:
            parts.append(text)
            notes += more
    if wrong and not parts:
        raise wrong[0]
    if not parts:
        raise workdirs.nothing(notes)
    return parts, [*notes, *map(str, wrong)]


def _why_not(folder: pathlib.Path) -> str:
    """Returns why a folder has no place in the tables."""
    try:
        task = workdirs.read(folder).get("task")
    except (UserError, OSError) as error:
        return str(error)
    return f"unknown task {task!r}; if a config file of yours defines it: --config=FILE"


def _scores(
    folders: Sequence[pathlib.Path], measure: str, layout: str
) -> tuple[str, list[str]]:
    """Returns the table of an experiment that has none of its own: means over seeds."""
    del measure

    def read(folder: pathlib.Path) -> tuple[str, str, str, int, dict[str, float]]:
        config, evaluation = workdirs.read(folder), workdirs.scores(folder)
        with workdirs.understood():
            head = str(config["task"]), str(config["name"]), str(evaluation["protocol"])
            return (*head, int(evaluation["seed"]), evaluating.flatten(evaluation))

    entries, notes = workdirs.collect(folders, read, lambda entry: entry[:4])
    if not entries:
        raise workdirs.nothing(notes)
    grids = []
    for task in dict.fromkeys(entry[0] for entry in entries):
        known = {key for entry in entries if entry[0] == task for key in entry[4]}
        columns = [k for k in registry.kind(task).tabulated if k in known]
        head = ["experiment", "protocol", "seeds", *columns, "parameters"]
        rows = []
        for key in dict.fromkeys(e[:3] for e in entries if e[0] == task):
            runs = [entry[4] for entry in entries if entry[:3] == key]
            means = [_mean([run.get(name) for run in runs]) for name in columns]
            size = f"{runs[0].get('num_parameters', 0):,.0f}"
            rows.append([*key[1:], str(len(runs)), *means, size])
        legend = ["Means over seeds ± their sample standard deviation"]
        grids.append(Grid(f"Task {task}", head, rows, legend))
    return tables.FORMATS[layout](grids, notes), notes


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    text = f"{np.mean(known):.4g}"
    return f"{text} ± {np.std(known, ddof=1):.2g}" if len(known) > 1 else text

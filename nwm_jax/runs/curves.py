"""The curves of several runs in one picture."""

import os
import pathlib
from collections.abc import Sequence

from nwm_jax.errors import UserError
from nwm_jax.figures import compare
from nwm_jax.runs import workdirs
from nwm_jax.training import registry, writers


def draw_by(
    kind: str, patterns: Sequence[str], path: str | os.PathLike
) -> pathlib.Path:
    """Draws a picture of several runs that their experiment defines.

    Args:
      kind: a field of `registry.Experiment`: "boxes", a score of evaluated runs, a box
        for every model over its seeds; "errors", the errors of runs against the steps
        of their training, with published values as lines.
      patterns: of the runs' folders, see `workdirs.find`.
      path: the PNG to write.

    Returns:
      `path`.

    Raises:
      UserError: no run of an experiment that draws such a picture, or what that finds
        wrong.
    """
    folders = workdirs.find(patterns)
    drawing = [one for one in registry.experiments() if getattr(one, kind)]
    for experiment in drawing:
        mine = [f for f in folders if workdirs.task(f) in experiment.tasks]
        if mine:
            return registry.load(getattr(experiment, kind))(mine, path)
    names = " or ".join(experiment.name for experiment in drawing)
    raise UserError(
        f"no run of {names} in {' '.join(patterns)}: only those have a picture of {kind}"
    )


def draw(patterns: Sequence[str], path: str | os.PathLike) -> pathlib.Path:
    """Draws what the task of some runs is followed by: in training, in evaluations.

    Args:
      patterns: of their folders, see `workdirs.find`.
      path: the PNG to write.

    Returns:
      `path`.

    Raises:
      UserError: no run, runs of different tasks, runs that have logged nothing yet, or
        a path that does not end in ".png".
    """
    folders = {
        folder: task
        for folder in workdirs.find(patterns)
        if (task := workdirs.task(folder)) and (folder / writers.METRICS).exists()
    }
    tasks = sorted(set(folders.values()))
    if not tasks:
        raise UserError(
            f"no run in {' '.join(patterns)}: give the folders of python -m "
            "nwm_jax.train, such as --runs='runs/*'"
        )
    if len(tasks) > 1:
        raise UserError(
            f"the runs are of different tasks ({', '.join(tasks)}): compare those of one"
        )
    kind = registry.kind(tasks[0])
    return compare.draw_comparison(
        path,
        {folder.name: folder / writers.METRICS for folder in folders},
        {"train": kind.curve, "eval": kind.followed},
    )

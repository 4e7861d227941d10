"""What can be run: experiments with their tasks and configs, by name.

The registry maps names to functions and imports none of them: `nwm_jax.experiments`
registers the package's own, a config file of a user registers what is theirs.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.errors import UserError, unknown
from nwm_jax.training.task import Counter, Task

# A function, or "module:function", which is imported at its first call.
Lazy = str | Callable[..., Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment: what it is called and what it can do.

    Only `name` and `tasks` are needed. Where a field is `Lazy` it may be
    "module:function", so that the module is loaded at its first use.

    Attributes:
      name: its name.
      tasks: classes, subclasses of `training.task.Task`, by the names that
        `config.task` may have.
      configs: () -> ``get_config(argument)`` by the names of configs; where it is a
        `config.definition.Definition`, fields are checked and explained.
      summary: () -> a phrase that lists those names; "": all of them.
      follow: for dotted fields (config, old value) -> None, which sets what follows
        from the field when it is overridden.
      table: (folders, measure, format) -> (text, notes), the table of finished runs.
      measures: what `table` can show, the usual one first.
      boxes: (folders, path) -> path; draws a score of finished runs, a box each model.
      errors: (folders, path) -> path; draws errors of runs against steps of training,
        with published values as lines.
    """

    name: str
    tasks: Mapping[str, str | type[Task]]
    configs: Callable[[], Mapping[str, Callable[[str], ConfigDict]]] = dict
    summary: Callable[[], str] = str
    follow: Mapping[str, Callable[[ConfigDict, Any], None]] = dataclasses.field(
        default_factory=dict
    )
    table: Lazy | None = None
    measures: Sequence[str] = ()
    boxes: Lazy | None = None
    errors: Lazy | None = None


_EXPERIMENTS: dict[str, Experiment] = {}


def register(experiment: Experiment) -> None:
    """Adds an experiment; one of the same name takes the place of the former.

    Raises:
      UserError: another experiment has a task of that name.
    """
    for task in experiment.tasks:
        for other in _EXPERIMENTS.values():
            if task in other.tasks and other.name != experiment.name:
                raise UserError(
                    f"the task {task!r} of the experiment {experiment.name!r} is one of "
                    f"{other.name!r} already: take another name"
                )
    _EXPERIMENTS[experiment.name] = experiment


def experiments() -> tuple[Experiment, ...]:
    """Returns all experiments in the order of their registration."""
    return tuple(_EXPERIMENTS.values())


def task_names() -> tuple[str, ...]:
    """Returns the names that `config.task` may have."""
    return tuple(task for experiment in experiments() for task in experiment.tasks)


def find(task: Any) -> Experiment | None:
    """Returns the experiment that a task belongs to; None if there is none.

    Args:
      task: a config's `task`.
    """
    for experiment in experiments():
        if task in experiment.tasks:
            return experiment
    return None


def kind(name: str) -> type[Task]:
    """Returns the class of a task without constructing it or opening data.

    Args:
      name: one of `task_names`.

    Raises:
      UserError: unknown task.
    """
    experiment = find(name)
    if experiment is None:
        raise unknown("task", name, task_names())
    return load(experiment.tasks[name])


def load(place: Any) -> Any:
    """Returns what "module:name" names; anything but a string is returned as it is."""
    if not isinstance(place, str):
        return place
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def build(config: ConfigDict, counter: Counter | None = None) -> Task:
    """Builds the task that a config names.

    Args:
      config: a resolved config; `config.task` names the task.
      counter: called with what is being done, returns the progress(done, total) that is
        called while data is made.

    Returns:
      The task. Data that it needs is made or opened now.

    Raises:
      UserError: unknown task, or what the task finds wrong in the config or the data.
    """
    task = kind(config.task)
    make: Callable[..., Task] = task
    if counter and task.preparation:
        return make(config, progress=counter(task.preparation))
    return make(config)

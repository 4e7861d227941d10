"""Tasks by their names in configs."""

import importlib

from ml_collections import ConfigDict

from nwm_jax.errors import unknown
from nwm_jax.training.task import Counter, Task

# Modules and classes, by `config.task`; a module is loaded when it is needed.
KINDS = {
    "forecasting": ("forecasting.task", "Forecasting"),
    "copy": ("sequences.copy_memory", "CopyMemory"),
    "adding": ("sequences.adding", "Adding"),
    "classification": ("sequences.classification", "Classification"),
    "segmentation": ("segmentation.task", "Segmentation"),
    "variational": ("topography.task", "Variational"),
}


def kind(name: str) -> type[Task]:
    """Gives the class of a task, of which nothing is made or opened.

    Args:
      name: a key of `KINDS`.

    Raises:
      UserError: unknown task.
    """
    if name not in KINDS:
        raise unknown("task", name, KINDS)
    module, found = KINDS[name]
    return getattr(importlib.import_module(f"nwm_jax.experiments.{module}"), found)


def build(config: ConfigDict, counter: Counter | None = None) -> Task:
    """Builds the task that a config names.

    Args:
      config: a resolved config; `config.task` names the task.
      counter: called with what is being done, gives the progress(done, total) that is
        called while data is made.

    Returns:
      The task. Data that it needs is made or opened now.

    Raises:
      UserError: unknown task, or what the task finds wrong in the config or the data.
    """
    make = kind(config.task)
    if counter and make.preparation:
        return make(config, progress=counter(make.preparation))
    return make(config)

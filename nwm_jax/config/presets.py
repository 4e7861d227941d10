"""Experiments by name or by file: ``load("pendulum_nwm2d:laptop")``."""

import dataclasses
import inspect
import os
import pathlib
import re
import runpy
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import grammar
from nwm_jax.config.definition import Definition
from nwm_jax.errors import UserError, nearest
from nwm_jax.training import registry
from nwm_jax.training.fields import preset_changed

__all__ = [
    "changed",
    "define",
    "definition",
    "definitions",
    "from_dict",
    "load",
    "summary",
]


def definitions() -> dict[str, Callable[[str], ConfigDict]]:
    """Returns ``get_config(argument)`` of every registered experiment, by name."""
    return {
        name: get_config
        for experiment in registry.experiments()
        for name, get_config in experiment.configs().items()
    }


def summary() -> str:
    """Describes in one line how the names of `definitions` are made."""
    return "; or ".join(
        experiment.summary() or f"one of {', '.join(experiment.configs())}"
        for experiment in registry.experiments()
    )


def definition(config: Mapping[str, Any]) -> Definition | None:
    """Returns the definition whose fields `config` should have.

    Args:
      config: a config of any task, perhaps with mistakes.

    Returns:
      The one of its task and model that is closest: of its dataset, then of its name,
      then with the most fields of its data. None if there is none, or if the task
      belongs to an experiment whose configs have no `Definition`.
    """
    experiment = registry.find(config.get("task"))
    data, model = config.get("data", {}), config.get("model", {})
    named = (isinstance(g, Mapping | ConfigDict) and "name" in g for g in (data, model))
    if experiment is None or not all(named):
        return None

    def closeness(known: Definition) -> tuple[bool, bool, int]:
        fields = {part.name for part in dataclasses.fields(known.plain.data)}
        return (
            known.plain.data.name == data["name"],
            known.plain.name == config.get("name"),
            len(fields & set(data)) - len(fields - set(data)),
        )

    candidates = [
        known
        for known in experiment.configs().values()
        if isinstance(known, Definition)
        and known.plain.task == config["task"]
        and known.plain.model.name == model["name"]
    ]
    return max(candidates, key=closeness, default=None)


def define(path: str | os.PathLike) -> None:
    """Runs a config file for what it registers: cells, models, datasets, tasks.

    Args:
      path: the file; what follows a colon after its name is ignored, so that a
        ``--config`` of training can be repeated as it was.

    Raises:
      UserError: no such file, or it raises.
    """
    match = re.match(r"(.*?\.py)(?::.*)?$", str(path), re.DOTALL)
    if not match:
        raise UserError(f"{path} is not a config file: its name must end in .py")
    _run(pathlib.Path(match[1]))


def changed(config: Mapping[str, Any]) -> str:
    """Returns one line if the preset of an older config has changed since; else "".

    Args:
      config: a config that was stored with a run.
    """
    known = definition(config)
    if known is None or config.get("preset") not in known.presets():
        return ""
    return preset_changed(config, known(config["preset"]))


def load(spec: str) -> ConfigDict:
    """Loads a config from a file or, by its name, from the package.

    Args:
      spec: ``path/to/file.py:argument``, where the file defines
        ``get_config(argument) -> ConfigDict``, or ``name:argument`` with a name of
        `definitions`, which needs no file. The argument and its colon may be left
        out; its grammar is that of `config.grammar`.

    Returns:
      A locked config: fields can change their values, not their names or types.

    Raises:
      UserError: unknown name, missing file, a file without a usable `get_config` or
        that raises, unknown preset or field, or a value of a wrong type.
    """
    match = re.match(r"(.*?\.py)(?::(.*))?$", spec, re.DOTALL)
    if match:
        path, argument = pathlib.Path(match[1]), match[2] or ""
        return _from_file(path, argument)
    name, _, argument = spec.partition(":")
    known = definitions()
    if name in known:
        return known[name](argument)
    file = pathlib.Path(f"{name}.py")
    if name and file.is_file():
        raise UserError(f"unknown config {name!r}; did you mean '{file}'?")
    last = name.rpartition("/")[2]
    raise UserError(f"unknown config {name!r}; {_nearest(last)}")


def from_dict(fields: Mapping[str, Any]) -> ConfigDict:
    """Makes a locked config of the nested dict that was read from a JSON file.

    Args:
      fields: what `ConfigDict.to_dict` gave before; lists, JSON's only sequence,
        become the tuples that they were. A field that came with a later version of
        this package may be missing: it gets its default, which does what was done
        before.

    Returns:
      The config.
    """

    def restore(value):
        if isinstance(value, Mapping):
            return {key: restore(item) for key, item in value.items()}
        if isinstance(value, list):
            return tuple(restore(item) for item in value)
        return value

    config = ConfigDict(restore(fields))
    known = definition(config)
    if known:
        for field, value in grammar.flatten(dataclasses.asdict(known.plain)).items():
            group, _, key = field.rpartition(".")
            holder = config[group] if group else config
            if key not in holder:
                holder[key] = value
    return config.lock()


def _from_file(path: pathlib.Path, argument: str) -> ConfigDict:
    get_config = _function(path)
    try:
        parameters = inspect.signature(get_config).parameters
        if parameters:
            config = get_config(argument)
        elif argument:
            raise UserError(f"get_config of {path} takes no argument ({argument!r})")
        else:
            config = get_config()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(_message(path, error)) from error
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(
            f"get_config of {path} returned a {kind}; it must return an "
            "ml_collections.ConfigDict"
        )
    return config.lock()


def _function(path: pathlib.Path) -> Callable:
    """Runs a config file and returns its `get_config`."""
    get_config = _run(path).get("get_config")
    if not callable(get_config):
        raise UserError(f"{path} does not define get_config(argument)")
    return get_config


def _run(path: pathlib.Path) -> dict[str, Any]:
    """Runs a config file and returns its names."""
    if not path.is_file():
        raise UserError(_missing(path))
    try:
        return runpy.run_path(str(path), run_name="nwm_jax_config")
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(_message(path, error)) from error


def _missing(path: pathlib.Path) -> str:
    if path.stem in definitions():
        return (
            f"{path} does not exist; --config={path.stem} is the definition of that "
            "name inside the package"
        )
    files = [file.name for file in path.parent.glob("*.py")]
    if files:
        best = grammar.nearest_of(path.name, files)
        return f"{path} does not exist; did you mean '{path.parent / best}'?"
    near = _nearest(path.stem)
    return f"{path} does not exist; among the package's own names, {near}"


def _nearest(name: str) -> str:
    return nearest(name, definitions(), summary())


def _message(path: pathlib.Path, error: BaseException) -> str:
    """Returns one line for what went wrong inside a config file, with its line number."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    where = f", line {lines[-1]}" if lines else ""
    message = error.msg if isinstance(error, SyntaxError) else error
    if isinstance(error, ModuleNotFoundError) and "nwm_jax.presets" in str(error):
        message = f"{error}: its modules are `configs` in nwm_jax.experiments.* now"
    return f"{path}{where}: {type(error).__name__}: {message}"

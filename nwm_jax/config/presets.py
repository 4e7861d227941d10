"""Experiments by name or by file: ``load("pendulum_nwm2d:laptop")``."""

import functools
import inspect
import pathlib
import re
import runpy
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import grammar
from nwm_jax.errors import UserError, nearest
from nwm_jax.experiments.forecasting import configs
from nwm_jax.experiments.segmentation import configs as spatial
from nwm_jax.experiments.sequences import configs as sequences
from nwm_jax.experiments.topography import configs as topography

__all__ = ["changed", "definitions", "from_dict", "load", "summary", "template"]


def definitions() -> dict[str, Callable[[str], ConfigDict]]:
    """Returns ``get_config(argument)`` of every experiment in the package, by name."""
    forecasts = {
        f"{dataset}_{model}": functools.partial(configs.get_config, dataset, model)
        for dataset in configs.DATASETS
        for model in configs.MODELS
    }
    others = {
        name: functools.partial(kind.get_config, name)
        for kind in (sequences, spatial, topography)
        for name in kind.EXPERIMENTS
    }
    return forecasts | others


def summary() -> str:
    """Tells in one line how the names of `definitions` are made."""
    datasets = dict.fromkeys(map(configs.short_name, configs.DATASETS))
    return (
        f"DATASET_MODEL, where DATASET is one of {', '.join(datasets)} and "
        f"MODEL one of {', '.join(configs.MODELS)}; or one of "
        f"{', '.join([*sequences.EXPERIMENTS, *spatial.EXPERIMENTS, *topography.EXPERIMENTS])}"
    )


def template(config: Mapping[str, Any]) -> ConfigDict | None:
    """Gives the plain config whose fields `config` should have.

    Args:
      config: a config of any task, perhaps with mistakes.

    Returns:
      The plain config; None if the task or the model is unknown.
    """
    kinds = (configs, sequences, spatial, topography)
    return next(filter(None, (kind.template(config) for kind in kinds)), None)


def changed(config: Mapping[str, Any]) -> str:
    """Returns one line if the preset of an older config has changed since; else "".

    Args:
      config: a config that was stored with a run.
    """
    plain = template(config)
    if plain is None:
        return ""
    try:
        now = load(f"{plain.name}:{config['preset']}")
    except (UserError, KeyError):
        return ""
    return grammar.preset_changed(config, now)


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
    for field, value in grammar.flatten(template(config) or {}).items():
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
        raise UserError(_told(path, error)) from error
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(
            f"get_config of {path} returned a {kind}; it must return an "
            "ml_collections.ConfigDict"
        )
    return config.lock()


def _function(path: pathlib.Path) -> Callable:
    """Runs a config file and returns its `get_config`."""
    if not path.is_file():
        raise UserError(_missing(path))
    try:
        namespace = runpy.run_path(str(path), run_name="nwm_jax_config")
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(_told(path, error)) from error
    get_config = namespace.get("get_config")
    if not callable(get_config):
        raise UserError(f"{path} does not define get_config(argument)")
    return get_config


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


def _told(path: pathlib.Path, error: Exception) -> str:
    """One line for what went wrong inside a config file, with its line number."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    where = f", line {lines[-1]}" if lines else ""
    message = error.msg if isinstance(error, SyntaxError) else error
    return f"{path}{where}: {type(error).__name__}: {message}"

"""Range checks of a config, made before anything expensive starts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar, presets
from nwm_jax.config.definition import Definition
from nwm_jax.config.fields import Field
from nwm_jax.errors import UserError, unknown
from nwm_jax.training import registry


def validate(config: ConfigDict) -> ConfigDict:
    """Checks the fields of a config against each other and against their ranges.

    Args:
      config: of any task; what is checked are the fields that it has, and where its
        experiment knows them that it has all of them, with the right types.

    Returns:
      `config`, unchanged.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    flat = grammar.flatten(config)
    if "task" in flat and flat["task"] not in registry.task_names():
        raise unknown("task", flat["task"], registry.task_names())
    known = presets.definition(config)
    if known:
        _check_fields(flat, known.plain)
    else:
        _check_names(flat)
    plain = known.plain if known else base.Config()
    fields = plain.meanings()
    for name, value in flat.items():
        fields.get(name, Field()).refuse_wrong(name, value)
    plain.filled(config).check_all()
    return config


def _check_names(flat: Mapping[str, Any]) -> None:
    """Raises why the experiment has no config of this task, model and dataset."""
    experiment = registry.find(flat.get("task"))
    known = experiment.configs().values() if experiment else ()
    plain = [one.plain for one in known if isinstance(one, Definition)]
    if not plain:
        return
    models = dict.fromkeys(config.model.name for config in plain)
    if "model.name" not in flat:
        raise UserError("the config has no field model.name")
    if flat["model.name"] not in models:
        raise unknown("model.name", flat["model.name"], list(models))
    if "data.name" not in flat:
        raise UserError("the config has no field data.name")
    raise UserError(
        f"the task {flat['task']} has no config of the model {flat['model.name']}"
    )


def _check_fields(flat: Mapping[str, Any], plain: base.Config) -> None:
    values = grammar.flatten(dataclasses.asdict(plain))
    for field in flat:
        if field in values:
            continue
        if field.startswith("model."):
            raise UserError(
                f"{field} is not a field of the model {plain.model.name}: start from "
                f"--config={plain.name}, not from another model's config"
            )
        raise UserError(f"unknown config field {field!r}")
    for field, like in values.items():
        if field not in flat:
            raise UserError(f"the config has no field {field}")
        value, kind = flat[field], type(like)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UserError(
                f"{field} must be of type {kind.__name__}, not {value!r} of type "
                f"{type(value).__name__}"
            )

"""Range checks of a config, made before anything expensive starts."""

import math
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, checks, grammar, presets
from nwm_jax.errors import UserError, unknown
from nwm_jax.training import registry

_SEEDS = ("seed", "data.seed")


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
    experiment = registry.find(flat.get("task"))
    known = base.FIELDS | (experiment.fields() if experiment else {})
    fields = {name: field for name, field in known.items() if name in flat}
    for name, field in fields.items():
        field.check_choice(name, flat[name])
    if experiment:
        template = presets.template(config)
        if template is not None:
            _check_fields(flat, grammar.flatten(template))
        elif experiment.models():
            _check_names(flat, experiment.models())
    checks.countable(flat, but=_SEEDS)
    for name, field in fields.items():
        field.check_range(name, flat[name])
    for name in _SEEDS:
        if name in flat and flat[name] >= 2**32:
            checks.refuse(name, flat[name], "below 2**32")
    if "optimizer.warmup_steps" in flat:
        checks.order(flat, "optimizer.warmup_steps", "num_steps")
    if experiment:
        experiment.check(flat)
    for field, value in flat.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            checks.refuse(field, value, "finite")
    return config


def _check_names(flat: dict[str, Any], models: Any) -> None:
    """Raises why the experiment has no config of this task, model and dataset."""
    if "model.name" not in flat:
        raise UserError("the config has no field model.name")
    if flat["model.name"] not in models:
        raise unknown("model.name", flat["model.name"], models)
    if "data.name" not in flat:
        raise UserError("the config has no field data.name")
    raise UserError(
        f"the task {flat['task']} has no config of the model {flat['model.name']}"
    )


def _check_fields(flat: dict[str, Any], template: dict[str, Any]) -> None:
    model = template["model.name"]
    for field in flat:
        if field in template:
            continue
        if field.startswith("model."):
            raise UserError(
                f"{field} is not a field of the model {model}: start from "
                f"--config={template['name']}, not from another model's config"
            )
        raise UserError(f"unknown config field {field!r}")
    for field, like in template.items():
        if field not in flat:
            raise UserError(f"the config has no field {field}")
        value, kind = flat[field], type(like)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UserError(
                f"{field} must be of type {kind.__name__}, not {value!r} of type "
                f"{type(value).__name__}"
            )

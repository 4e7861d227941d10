"""Range checks of a config, made before anything expensive starts."""

import math
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import checks, grammar, presets
from nwm_jax.errors import UserError, unknown
from nwm_jax.modules.conv import IMPLEMENTATIONS
from nwm_jax.training import optimizer, registry

# Smallest values of the fields that every config has.
_AT_LEAST = {
    1: "batch_size num_steps log_every checkpoint_every eval.batch_size",
    0: "seed steps_per_dispatch data.seed eval.every optimizer.warmup_steps "
    "optimizer.clip optimizer.weight_decay optimizer.momentum",
    -1: "remat",
}
_ABOVE_ZERO = (
    "optimizer.learning_rate",
    "optimizer.drop_every",
    "optimizer.drop_factor",
)
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
    checks.one_of(flat, "task", registry.task_names())
    checks.one_of(flat, "conv", IMPLEMENTATIONS)
    checks.one_of(flat, "optimizer.name", optimizer.OPTIMIZERS)
    checks.one_of(flat, "optimizer.schedule", optimizer.SCHEDULES)
    experiment = registry.find(flat.get("task"))
    if experiment:
        for field, choices in experiment.choices().items():
            checks.one_of(flat, field, choices)
        template = presets.template(config)
        if template is not None:
            _check_fields(flat, grammar.flatten(template))
        elif experiment.models():
            _check_names(flat, experiment.models())
    for least, fields in _AT_LEAST.items():
        checks.at_least(flat, least, fields.split())
    checks.positive(flat, _ABOVE_ZERO)
    for field in _SEEDS:
        if field in flat and flat[field] >= 2**32:
            checks.refuse(field, flat[field], "below 2**32")
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

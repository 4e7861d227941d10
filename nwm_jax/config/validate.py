"""Range checks of a config, made before anything expensive starts."""

import math
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar, presets
from nwm_jax.core import coupling, readouts, scans, wave
from nwm_jax.data.sequences import copy_memory
from nwm_jax.data.topography.rotation import PERIOD
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.forecasting import configs
from nwm_jax.experiments.segmentation import configs as spatial
from nwm_jax.experiments.sequences import configs as sequences
from nwm_jax.experiments.topography import configs as topography
from nwm_jax.models import names, solvers, splits
from nwm_jax.modules.conv import IMPLEMENTATIONS

# Smallest value allowed, and what to call it.
_AT_LEAST = {
    1: "batch_size num_steps log_every checkpoint_every "
    "data.num_frames data.pool model.channels "
    "model.conv_channels model.kernel_size model.num_observed model.units model.layers "
    "eval.num_windows eval.num_mean_windows eval.num_vpt eval.batch_size eval.horizon "
    "eval.num_examples eval.num_waves data.size data.side data.zoom data.most "
    "model.num_steps model.width model.features",
    2: "data.cell model.depth",
    0: "model.hidden_layers seed steps_per_dispatch data.seed data.T data.length "
    "data.num_valid "
    "data.num_train data.num_test eval.every model.num_ic model.num_target model.beta "
    "model.kappa model.readout_hidden optimizer.warmup_steps optimizer.clip "
    "optimizer.weight_decay optimizer.momentum",
    -1: "remat",
}
_ABOVE_ZERO = (
    "optimizer.learning_rate",
    "optimizer.drop_every",
    "optimizer.drop_factor",
    "data.dt",
    "data.wavelength",
)
_SEEDS = ("seed", "data.seed")

_CHOICES = {
    "task": ("forecasting", *sequences.TASKS, spatial.TASK, topography.TASK),
    "conv": IMPLEMENTATIONS,
    "optimizer.name": base.OPTIMIZERS,
    "optimizer.schedule": base.SCHEDULES,
    "data.layout": copy_memory.LAYOUTS,
    "model.activation": tuple(scans.ACTIVATIONS),
    "model.coupling_init": wave.COUPLING_INITS,
    "model.input_init": wave.INPUT_INITS,
    "model.decode": tuple(names.DECODE),
    "model.start": names.STARTS,
    "model.readout": readouts.READOUTS,
    "data.digits": spatial.DIGITS,
    "model.training": splits.TRAINING,
    "model.split": splits.SPLITS,
}


def validate(config: ConfigDict) -> ConfigDict:
    """Checks the fields of a config against each other and against their ranges.

    Args:
      config: of any task; what is checked are the fields that it has, and for our own
        tasks that it has all of them, with the right types.

    Returns:
      `config`, unchanged.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    flat = grammar.flatten(config)
    for field, choices in _CHOICES.items():
        if field in flat and flat[field] not in choices:
            raise unknown(field, flat[field], choices)
    template = presets.template(config)
    if template is not None:
        _check_fields(flat, grammar.flatten(template))
    elif "task" in flat:
        _check_names(flat)
    for least, fields in _AT_LEAST.items():
        for field in fields.split():
            if field in flat and not least <= flat[field] < math.inf:
                _refuse(field, flat[field], f"at least {least}")
    for field in _ABOVE_ZERO:
        if field in flat and not 0 < flat[field] < math.inf:
            _refuse(field, flat[field], "a finite number above 0")
    for field in _SEEDS:
        if field in flat and flat[field] >= 2**32:
            _refuse(field, flat[field], "below 2**32")
    if "optimizer.warmup_steps" in flat:
        _check_order(flat, "optimizer.warmup_steps", "num_steps")
    coupled = flat.get("task") in (*sequences.TASKS, topography.TASK)
    if coupled and flat["conv"] not in coupling.IMPLEMENTATIONS:
        raise unknown("conv", flat["conv"], coupling.IMPLEMENTATIONS)
    if flat.get("task") == "forecasting":
        _check_forecasting(flat)
    if flat.get("task") == topography.TASK:
        _check_variational(flat)
    return config


def _check_names(flat: dict[str, Any]) -> None:
    """Tells why no experiment of ours has this task, model and dataset."""
    kinds = {
        "forecasting": configs,
        spatial.TASK: spatial,
        topography.TASK: topography,
    }
    known = kinds.get(flat["task"], sequences).MODELS
    if "model.name" not in flat:
        raise UserError("the config has no field model.name")
    if flat["model.name"] not in known:
        raise unknown("model.name", flat["model.name"], known)
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


def _check_forecasting(flat: dict[str, Any]) -> None:
    model = {
        field.removeprefix("model."): value
        for field, value in flat.items()
        if field.startswith("model.")
    }
    _check_model(flat, model)
    for field in ("data.num_train", "data.num_test"):
        if flat[field] < 1:
            _refuse(field, flat[field], "at least 1")
    if flat["data.path"]:
        return  # one's own clips: their name is free, their length told by the file
    if flat["data.name"] not in configs.DATASETS:
        raise unknown("data.name", flat["data.name"], configs.DATASETS)
    length = configs.train_length(model)
    terms = {
        "model.num_observed": model["num_observed"],
        "model.num_target": model["num_target"],
    }
    if length == model["num_target"]:
        del terms["model.num_observed"]
    told = " + ".join(terms) + " - 1" * (length < sum(terms.values()))
    if length > flat["data.num_frames"]:
        raise UserError(
            f"training clips have {told} = {length} frames, but "
            f"data.num_frames={flat['data.num_frames']}"
        )
    if length + flat["eval.horizon"] > flat["data.num_frames"]:
        raise UserError(
            f"evaluation needs {told} + eval.horizon = {length + flat['eval.horizon']} "
            f"frames, but data.num_frames={flat['data.num_frames']}"
        )


def _check_model(flat: dict[str, Any], model: dict[str, Any]) -> None:
    if "grid" in model:
        _check_grid(model["grid"], model.get("kernel_size", 1))
    # The decoder has half as many planes.
    for field in ("latent", "latent_channels"):
        paired = field == "latent_channels" or model["name"] in names.PAIRED
        if field in model and (model[field] < 2 or paired and model[field] % 2):
            wanted = "even and at least 2" if paired else "at least 2"
            _refuse(f"model.{field}", model[field], wanted)
    if "num_ic" in model:
        _check_order(flat, "model.num_ic", "model.num_observed")
        # The last frame of a training window is only a target, never seen.
        if model["num_observed"] >= model["num_target"]:
            _refuse(
                "model.num_observed",
                model["num_observed"],
                f"below model.num_target={model['num_target']}",
            )
    if "dt" in model and not (model["dt"] and math.isfinite(model["dt"])):
        _refuse("model.dt", model["dt"], "a finite number other than 0")
    if "integrator" in model:
        separable = model["name"] in ("hgn", "hgn_conv")
        solvers.check(model["integrator"], separable)
    configs.cut(model)  # refuses a split that does not fit


def _check_grid(grid: tuple, kernel_size: int) -> None:
    if len(grid) != 2 or any(type(n) is not int or n < 1 for n in grid):
        _refuse("model.grid", grid, "two integers of at least 1, (height, width)")
    if kernel_size % 2 == 0:
        _refuse("model.kernel_size", kernel_size, "odd")


def _check_variational(flat: dict[str, Any]) -> None:
    _check_grid(flat["model.grid"], flat["model.kernel_size"])
    for field in ("data.num_frames", "eval.num_frames"):
        if flat[field] < PERIOD or flat[field] % PERIOD:
            _refuse(
                field,
                flat[field],
                f"whole periods, a multiple of {PERIOD} frames: after the last frame the "
                "first one is predicted",
            )
    if not 0 < flat["model.dt"] < 1:
        _refuse("model.dt", flat["model.dt"], "between 0 and 1")
    for field in ("model.encoder", "model.decoder"):
        if any(type(width) is not int or width < 1 for width in flat[field]):
            _refuse(field, flat[field], "widths of layers, integers of at least 1")


def _check_order(flat: dict[str, Any], small: str, large: str) -> None:
    if flat[small] > flat[large]:
        _refuse(small, flat[small], f"at most {large}={flat[large]}")


def _refuse(field: str, value: Any, wanted: str) -> None:
    shown = str(value).replace(", ", ",")
    raise UserError(f"{field}={shown} must be {wanted}")

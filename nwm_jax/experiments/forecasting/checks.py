"""Ranges of the fields of forecasting configs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nwm_jax.config import checks
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.forecasting import configs
from nwm_jax.models import names, solvers, splits

_AT_LEAST = {
    1: "data.num_frames data.num_train data.num_test model.channels "
    "model.conv_channels model.kernel_size model.num_observed model.units "
    "model.layers eval.num_windows eval.num_mean_windows eval.num_vpt eval.horizon",
    0: "model.num_ic model.num_target model.beta model.kappa",
}


def choices() -> Mapping[str, Sequence[Any]]:
    """Returns the values that fields may have, by dotted field."""
    return {
        "model.decode": tuple(names.DECODE),
        "model.training": splits.TRAINING,
        "model.split": splits.SPLITS,
    }


def check(flat: dict[str, Any]) -> None:
    """Checks the ranges of all fields, and that clips are long enough.

    Args:
      flat: the fields by their dotted names.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    for least, fields in _AT_LEAST.items():
        checks.at_least(flat, least, fields.split())
    checks.positive(flat, ["data.dt"])
    model = {
        field.removeprefix("model."): value
        for field, value in flat.items()
        if field.startswith("model.")
    }
    _check_model(flat, model)
    if flat["data.path"]:
        return  # your own clips: their name is free, their length is the file's
    if flat["data.name"] not in configs.dataset_names():
        raise unknown("data.name", flat["data.name"], configs.dataset_names())
    length = configs.train_length(model)
    terms = {
        "model.num_observed": model["num_observed"],
        "model.num_target": model["num_target"],
    }
    if length == model["num_target"]:
        del terms["model.num_observed"]
    summed = " + ".join(terms) + " - 1" * (length < sum(terms.values()))
    if length > flat["data.num_frames"]:
        raise UserError(
            f"training clips have {summed} = {length} frames, but "
            f"data.num_frames={flat['data.num_frames']}"
        )
    if length + flat["eval.horizon"] > flat["data.num_frames"]:
        needed = length + flat["eval.horizon"]
        raise UserError(
            f"evaluation needs {summed} + eval.horizon = {needed} frames, but "
            f"data.num_frames={flat['data.num_frames']}"
        )


def _check_model(flat: dict[str, Any], model: dict[str, Any]) -> None:
    if "grid" in model:
        checks.grid(model["grid"], model.get("kernel_size", 1))
    # The decoder has half as many planes.
    for field in ("latent", "latent_channels"):
        paired = field == "latent_channels" or model["name"] in names.PAIRED
        if field in model and (model[field] < 2 or paired and model[field] % 2):
            wanted = "even and at least 2" if paired else "at least 2"
            checks.refuse(f"model.{field}", model[field], wanted)
    if "num_ic" in model:
        checks.order(flat, "model.num_ic", "model.num_observed")
        # The last frame of a training window is only a target, never seen.
        if model["num_observed"] >= model["num_target"]:
            checks.refuse(
                "model.num_observed",
                model["num_observed"],
                f"below model.num_target={model['num_target']}",
            )
    if "dt" in model and not (model["dt"] and math.isfinite(model["dt"])):
        checks.refuse("model.dt", model["dt"], "a finite number other than 0")
    if "integrator" in model:
        separable = model["name"] in ("hgn", "hgn_conv")
        solvers.check(model["integrator"], separable)
    configs.cut(model)  # refuses a split that does not fit

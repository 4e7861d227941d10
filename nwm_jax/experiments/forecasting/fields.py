"""What the fields of forecasting configs mean, and their ranges."""

import math
from typing import Any

from nwm_jax.config import checks
from nwm_jax.config.checks import Field
from nwm_jax.core import transition
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.forecasting import configs
from nwm_jax.models import names, solvers, splits

_OBSERVED = "frames that the model sees"
FIELDS = {
    "data.num_train": Field("trajectories to train on", least=1),
    "data.num_valid": Field(
        "trajectories that training is followed on; of files at most a tenth", least=1
    ),
    "data.num_test": Field("trajectories to test on", least=1),
    "data.num_frames": Field("frames of a trajectory", least=1),
    "data.dt": Field("time between two frames", above=0),
    "model.grid": Field("oscillators, (height, width) or (rings, ring)"),
    "model.channels": Field("oscillators at every place", least=1),
    "model.kernel_size": Field("odd width of the coupling; 1: uncoupled", least=1),
    "model.scheme": Field("a time step of linear waves", choices=transition.SCHEMES),
    "model.gyroscopic": Field("waves may prefer a direction"),
    "model.dt_range": Field("first step sizes (low, high), inside (0, 1)"),
    "model.gamma_range": Field("first stiffnesses (low, high), above 0"),
    "model.alpha_range": Field("first dampings (low, high), above 0"),
    "model.coupling": Field("size of the first couplings", least=0),
    "model.conv_channels": Field("channels of the image networks", least=1),
    "model.units": Field("width of the hidden layers", least=1),
    "model.layers": Field("number of layers", least=1),
    "model.latent": Field("length of the latent state"),
    "model.latent_channels": Field("channels of the latent image"),
    "model.num_observed": Field(_OBSERVED, least=1),
    "model.num_ic": Field(f"{_OBSERVED} to choose the first state; 0: zeros", least=0),
    "model.num_target": Field("frames of a training clip, or after those", least=0),
    "model.decode": Field("decoded: x, or x and v", choices=tuple(names.DECODE)),
    "model.training": Field("directions of time", choices=splits.TRAINING),
    "model.split": Field("where the observed frames lie", choices=splits.SPLITS),
    "model.dt": Field("time between two frames for the model"),
    "model.integrator": Field("of the equation of motion"),
    "model.residual": Field("the latent state changes by what is learned"),
    "model.beta": Field("weight of the divergence from the prior", least=0),
    "model.kappa": Field("GECO's tolerance of the squared error", least=0),
    "eval.num_windows": Field("test windows", least=1),
    "eval.num_mean_windows": Field("training windows of the mean image", least=1),
    "eval.num_vpt": Field("trajectories for valid prediction times", least=1),
    "eval.horizon": Field("frames that are scored", least=1),
}


def check(flat: dict[str, Any]) -> None:
    """Checks fields against each other, and that clips are long enough.

    Args:
      flat: the fields by their dotted names.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
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

"""Presets of the sequence tasks: what an experiment may cost.

A preset is a table of the fields in which it differs from the papers' config.
"""

from typing import Any

from nwm_jax.config.base import Config
from nwm_jax.config.definition import Presets

# Steps and sizes for two CPU cores.
_LAPTOP: dict[str, dict[str, Any]] = {
    "copy": {"num_steps": 5_000},
    "adding": {"num_steps": 20_000, "stop_when_solved": True},
    "mnist": {
        "num_steps": 10 * 446,
        "data.pool": 2,
        "data.num_valid": 1_000,
        "eval.every": 446,
    },
    "cifar10": {
        "num_steps": 20 * 64,
        "batch_size": 128,
        "data.length": 232,
        "data.num_train": 8_192,
        "data.num_valid": 1_000,
        "data.num_test": 2_000,
        "eval.every": 64,
    },
}
_FASTER = {"optimizer.learning_rate": 1e-3, "optimizer.clip": 1.0}
_SMALL: dict[str, dict[str, Any]] = {
    "wrnn": _FASTER | {"model.units": 64, "model.channels": 8},
    "irnn": _FASTER | {"model.units": 128},
    "cornn": {"model.units": 128},
    "nwm2d": {"model.grid": (8, 8), "model.channels": 8},
    "nwm1d": {"model.grid": (8, 8)},
    "uncoupled": {"model.units": 128},
    "lwm2d": {"model.grid": (8, 8), "model.channels": 8},
    "lwm1d": {"model.channels": 8},
    "linoss": {"model.units": 128},
}

_SMOKE = {
    "batch_size": 16,
    "num_steps": 20,
    "log_every": 10,
    "checkpoint_every": 10,
    "eval.every": 10,
    "eval.batch_size": 50,
}
_SMOKE_DATA: dict[str, dict[str, Any]] = {
    "copy": {"data.T": 10, "eval.num_examples": 50},
    "adding": {"data.T": 10, "eval.num_examples": 50},
    # The digits that come with scikit-learn.
    "mnist": {"data.name": "digits", "data.num_valid": 50, "data.num_test": 50},
    "cifar10": {
        "data.name": "digits",
        "data.num_valid": 50,
        "data.num_test": 50,
        "data.length": 80,
    },
}
_TINY: dict[str, dict[str, Any]] = {
    "wrnn": {"model.units": 16, "model.channels": 2},
    "nwm2d": {"model.grid": (4, 4), "model.channels": 2},
    "nwm1d": {"model.grid": (4, 4)},
    "irnn": {"model.units": 16},
    "cornn": {"model.units": 16},
    "uncoupled": {"model.units": 16},
    "lwm2d": {"model.grid": (4, 4), "model.channels": 2},
    "lwm1d": {"model.grid": (1, 4), "model.channels": 2},
    "linoss": {"model.units": 16},
}


def presets(plain: Config) -> Presets:
    """Returns the presets of a plain config.

    - paper: no change.
    - laptop: for two CPU cores: fewer steps and, except for copying, smaller models;
      images of 14 x 14 pixels.
    - smoke: some seconds, images from scikit-learn; shows that everything runs.
    """
    data, model = plain.data.name, plain.model.name
    laptop = dict(_LAPTOP[data])
    if plain.task == "classification":
        laptop |= _SMALL.get(model, {})
    elif plain.name == "adding_wrnn":
        laptop |= {"model.channels": 6}
    smoke = _SMOKE | _SMOKE_DATA[data] | _TINY.get(model, {})
    return {"paper": {}, "laptop": laptop, "smoke": smoke}

"""Experiments of waves that integrate space: a dataset of shapes, a model, a budget.

`configs/*.py` are thin names for `get_config`. A plain config is the paper's
(arXiv:2502.06034): 300 epochs of Adam at 1e-3 in batches of 64; of the polygons, of
which the paper's settings are not published, the same on images of our own.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar
from nwm_jax.errors import unknown

PRESETS = ("paper", "laptop", "smoke")
TASK = "segmentation"
#: Whose digits are enlarged or put on a canvas.
DIGITS = ("mnist", "sklearn")

#: What an argument may say for short.
SHORT = {
    "readout": "model.readout",
    "depth": "model.depth",
    "width": "model.width",
    "T": "model.num_steps",
}

_PERCEPTRON = {"units": 256, "hidden_layers": 3}
#: Models by name: the fields of `config.model` beside it.
MODELS: dict[str, dict[str, Any]] = {
    "nwm": {
        "readout": "linear",
        "num_steps": 100,
        "dt": 0.1,
        "channels": 2,
        "width": 16,
        **_PERCEPTRON,
    },
    "convlstm": {
        "readout": "linear",
        "num_steps": 20,
        "channels": 2,
        "width": 16,
        **_PERCEPTRON,
    },
    # 49 features of each of two channels: the original's T // 2 - 1.
    "cnn": {
        "depth": 8,
        "channels": 2,
        "width": 16,
        "features": 98,
        "he": False,
        **_PERCEPTRON,
    },
    "unet": {"width": 2},
}

_DRAWN = {"cache_dir": "", "seed": 0, "num_train": 10_000}
_THOUSAND = {"num_valid": 1_000, "num_test": 1_000}
_DATA: dict[str, dict[str, Any]] = {
    "tetrominoes": _DRAWN | _THOUSAND | {"side": 64, "cell": 7, "seed": 42},
    "mnist": {
        "digits": "mnist",
        "path": "",
        "cache_dir": "",
        "zoom": 2,
        "num_train": 0,
        "num_valid": 0,
        "num_test": 0,
    },
    "multimnist": _DRAWN
    | _THOUSAND
    | {"digits": "mnist", "path": "", "side": 128, "seed": 50},
    "polygons": _DRAWN
    | {
        "num_train": 2_000,
        "num_valid": 300,
        "num_test": 300,
        "side": 32,
        "corners": (3, 4, 5, 6),
        "most": 1,
        "radius": (6.0, 12.0),
        "equal_area": False,
    },
}
# Whole batches of 64 in an epoch.
_STEPS_PER_EPOCH = {
    "tetrominoes": 156,
    "mnist": 796,
    "multimnist": 156,
    "polygons": 31,
}
_EPOCHS = 300

# Sixteen channels and a narrow perceptron: the paper's for the large canvas.
_LARGE = {"model.channels": 16, "model.units": 32, "model.hidden_layers": 5}
_OWN: dict[str, dict[str, Any]] = {
    "multimnist_nwm": _LARGE,
    "multimnist_convlstm": _LARGE,
}

#: Dataset and model of every experiment.
EXPERIMENTS = {f"{data}_{model}": (data, model) for data in _DATA for model in MODELS}

# For two CPU cores: small images, half the steps in time, a narrow perceptron.
_LAPTOP = {
    "batch_size": 32,
    "num_steps": 2_000,
    "checkpoint_every": 250,
    "eval.every": 125,
    "eval.batch_size": 100,
}
_LAPTOP_DATA: dict[str, dict[str, Any]] = {
    "tetrominoes": {
        "data.side": 32,
        "data.cell": 3,
        "data.num_train": 4_000,
        "data.num_valid": 300,
        "data.num_test": 500,
    },
    "mnist": {
        "data.zoom": 1,
        "data.num_train": 10_000,
        "data.num_valid": 500,
        "data.num_test": 1_000,
    },
    "multimnist": {
        "data.side": 64,
        "data.num_train": 4_000,
        "data.num_valid": 200,
        "data.num_test": 500,
    },
    "polygons": {"data.num_train": 4_000, "data.num_test": 500},
}
_LAPTOP_MODEL: dict[str, dict[str, Any]] = {
    "nwm": {"model.num_steps": 50, "model.channels": 2, "model.units": 64},
    "convlstm": {"model.channels": 2, "model.units": 64},
    "cnn": {"model.units": 64},
    "unet": {},
}

_SMOKE = {
    "batch_size": 8,
    "num_steps": 20,
    "log_every": 10,
    "checkpoint_every": 10,
    "eval.every": 10,
    "eval.batch_size": 10,
}
_SMOKE_DATA: dict[str, dict[str, Any]] = {
    "tetrominoes": {"data.side": 32, "data.cell": 3},
    # The digits that come with scikit-learn, of 8 x 8 pixels.
    "mnist": {"data.digits": "sklearn", "data.zoom": 4},
    "multimnist": {"data.digits": "sklearn", "data.side": 64},
    "polygons": {},
}
_SMOKE_MODEL: dict[str, dict[str, Any]] = {
    "nwm": {"model.num_steps": 10, "model.channels": 2, "model.units": 16},
    "convlstm": {"model.num_steps": 6, "model.channels": 2, "model.units": 16},
    "cnn": {"model.depth": 2, "model.units": 16},
    "unet": {},
}


def get_config(name: str, argument: str = "") -> ConfigDict:
    """Returns the config of an experiment.

    Args:
      name: one of `EXPERIMENTS`.
      argument: ``preset,key=value,...`` (`config.grammar`), where ``readout``,
        ``depth``, ``width`` and ``T`` stand for fields of the model.

    Returns:
      A locked config: fields can change their values, not their names or types.

    Raises:
      UserError: unknown experiment, preset or field, or a value of a wrong type.
    """
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return grammar.apply(_plain(name), argument, table(name), SHORT)


def table(name: str) -> dict[str, dict[str, Any]]:
    """Returns the presets of an experiment.

    Args:
      name: one of `EXPERIMENTS`.

    Returns:
      For each of `PRESETS` the dotted fields in which it differs from plain:

      - paper: none.
      - laptop: for two CPU cores: smaller images, fewer time steps, a narrower
        perceptron, 2,000 updates.
      - smoke: some seconds; shows that everything runs, not that it learns.
    """
    data, model = EXPERIMENTS[name]
    laptop = _LAPTOP | _LAPTOP_DATA.get(data, {}) | _LAPTOP_MODEL.get(model, {})
    few = {f"data.num_{split}": 20 for split in ("train", "valid", "test")}
    smoke = _SMOKE | few | _SMOKE_DATA.get(data, {}) | _SMOKE_MODEL.get(model, {})
    if data == "mnist" and model == "unet":
        # 56 and 28 cannot be halved four times; 112 can.
        laptop |= {"data.zoom": 4}
    return {"paper": {}, "laptop": laptop, "smoke": smoke}


def template(config: Mapping[str, Any]) -> ConfigDict | None:
    """Returns the plain config whose fields `config` should have.

    Args:
      config: a config of any task, perhaps with mistakes.

    Returns:
      That of the same dataset and model; None if it is of another task, or one of them
      is unknown.
    """
    groups = config.get("data", {}), config.get("model", {})
    if config.get("task") != TASK or not all(
        isinstance(group, Mapping | ConfigDict) for group in groups
    ):
        return None
    name = "_".join(str(group.get("name")) for group in groups)
    return get_config(name) if name in EXPERIMENTS else None


def _plain(name: str) -> ConfigDict:
    """The paper's protocol."""
    data, model = EXPERIMENTS[name]
    epoch = _STEPS_PER_EPOCH.get(data, 156)
    config = base.common()
    config.update(
        name=name,
        task=TASK,
        batch_size=64,
        num_steps=_EPOCHS * epoch,
        checkpoint_every=epoch,
        # Of 100 steps five states are kept.
        remat=20,
        data={"name": data, **_DATA[data]},
        eval={"every": epoch, "batch_size": 50},
        model={"name": model, **MODELS[model]},
    )
    config.optimizer.learning_rate = 1e-3
    for field, value in _OWN.get(name, {}).items():
        group, _, key = field.rpartition(".")
        config[group][key] = value
    if data == "mnist" and model == "unet":
        config.data.zoom = 4  # sides that can be halved four times
    return config

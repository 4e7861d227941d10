"""Experiments of remembering a long sequence: a task, a recurrent network, a budget.

`configs/*.py` are thin names for `get_config`. A plain config is that of the papers: the
wave RNN and the identity RNN of Keller et al. (arXiv:2309.08045), the oscillators of
Keller & Welling, "Neural Wave Machines" (ICML 2023, table 2), with the constants of the
coRNN (arXiv:2010.00951).
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar
from nwm_jax.errors import unknown

PRESETS = ("paper", "laptop", "smoke")
TASKS = ("copy", "adding", "classification")

#: What an argument may say for short.
SHORT = {"T": "data.T", "layout": "data.layout"}

_WAVE = {
    "units": 256,
    "channels": 1,
    "activation": "relu",
    "coupling_init": "shift",
    "input_init": "single",
    "speed": 1.0,
    "zero_coupling_bias": False,
    "frozen": (),
    "readout_hidden": 0,
}
_OSCILLATORS = {"dt": 0.042, "gamma": 2.7, "alpha": 4.7, "readout_hidden": 0}
# Linear waves: first step sizes, stiffnesses and dampings are uniform in these ranges.
_LINEAR = {
    "blocks": 2,
    "scheme": "exact",
    "dt_range": (0.05, 0.5),
    "gamma_range": (0.05, 1.0),
    "alpha_range": (0.001, 0.1),
    "readout_hidden": 0,
}
_LINEAR_FIELD = _LINEAR | {"kernel_size": 3, "gyroscopic": True, "coupling": 0.5}

#: Models by name: the fields of `config.model` beside it.
MODELS: dict[str, dict[str, Any]] = {
    "wrnn": _WAVE | {"channels": 16, "kernel_size": 3, "local": False},
    "irnn": _WAVE | {"coupling_init": "identity", "input_init": "uniform"},
    "cornn": _OSCILLATORS | {"units": 256},
    "nwm2d": _OSCILLATORS | {"grid": (16, 16), "channels": 16},
    "nwm1d": _OSCILLATORS | {"grid": (16, 16), "channels": 1},
    "uncoupled": _OSCILLATORS | {"units": 256, "train_scalars": False},
    "lwm2d": _LINEAR_FIELD | {"grid": (16, 16), "channels": 16},
    "lwm1d": _LINEAR_FIELD | {"grid": (1, 16), "channels": 16},
    "linoss": _LINEAR | {"units": 256, "scheme": "imex"},
}

_COPY = {
    "task": "copy",
    "batch_size": 128,
    "num_steps": 60_000,
    "checkpoint_every": 1_000,
    "stop_when_solved": False,
    "optimizer.learning_rate": 1e-3,
    "data.name": "copy",
    "data.T": 30,
    "data.layout": "paper",
    "data.seed": 0,
    "eval.every": 100,
    "eval.num_examples": 500,
    "eval.batch_size": 250,
    "model.units": 100,
}
_ADDING = {
    **{field: value for field, value in _COPY.items() if field != "data.layout"},
    "task": "adding",
    "data.name": "adding",
    "data.T": 100,
    "eval.num_examples": 1_000,
}
_SMNIST = {
    "task": "classification",
    "batch_size": 128,
    "num_steps": 120 * 446,
    "checkpoint_every": 500,
    "optimizer.learning_rate": 1e-4,
    # To a tenth after 100 of 120 epochs.
    "optimizer.schedule": "step",
    "optimizer.drop_every": 5 / 6,
    "data.name": "mnist",
    "data.path": "",
    "data.cache_dir": "",
    "data.pool": 1,
    "data.permute": False,
    "data.length": 0,
    "data.num_valid": 3_000,
    "data.num_train": 0,
    "data.num_test": 0,
    "data.seed": 0,
    "eval.every": 500,
    "eval.batch_size": 500,
}
_PSMNIST = _SMNIST | {"data.permute": True, "num_steps": 120 * 445}
_NSCIFAR10 = _SMNIST | {
    "batch_size": 256,
    "num_steps": 120 * 183,
    "data.name": "cifar10",
    "data.length": 1_000,
}
_EPOCHS_250 = {"optimizer.drop_every": 100 / 250}
# 475 updates of 120 images are just an epoch of 57,000.
_COUPLED = {
    "batch_size": 120,
    "num_steps": 120 * 475,
    "optimizer.learning_rate": 2.1e-3,
}
_COUPLED_PERMUTED = _COUPLED | {
    "optimizer.learning_rate": 5.4e-3,
    "model.dt": 0.076,
    "model.gamma": 0.4,
    "model.alpha": 8.0,
}
_NORMAL = {"model.input_init": "normal"}

#: The fields of each experiment, beside those of its model.
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "copy_wrnn": _COPY | {"model.channels": 6},
    "copy_irnn": _COPY | _NORMAL,
    # What was best is not published for the rest: values that work.
    "adding_wrnn": _ADDING | {"model.channels": 27, "optimizer.clip": 1.0},
    "adding_irnn": _ADDING | _NORMAL | {"optimizer.clip": 10.0},
    "smnist_wrnn": _SMNIST,
    "smnist_irnn": _SMNIST | {"optimizer.clip": 1.0},
    "psmnist_wrnn": _PSMNIST,
    "psmnist_irnn": _PSMNIST
    | _EPOCHS_250
    | {"num_steps": 250 * 445, "optimizer.clip": 1.0},
    "nscifar10_wrnn": _NSCIFAR10,
    "nscifar10_irnn": _NSCIFAR10
    | _EPOCHS_250
    | {"num_steps": 250 * 183, "model.units": 529},
}
for _model in ("cornn", "nwm2d", "nwm1d", "uncoupled"):
    EXPERIMENTS[f"smnist_{_model}"] = _SMNIST | _COUPLED
    EXPERIMENTS[f"psmnist_{_model}"] = _PSMNIST | _COUPLED_PERMUTED
# Images need no nonlinearity before their end: one block, which is read there.
_LINEAR_WAVES = {
    "optimizer.learning_rate": 1e-3,
    "optimizer.schedule": "cosine",
    "optimizer.clip": 1.0,
}
_ONE_BLOCK = _LINEAR_WAVES | {"model.blocks": 1, "num_steps": 20 * 446}
_PLAIN_COPY = {k: v for k, v in _COPY.items() if k != "model.units"}
_PLAIN_ADDING = {k: v for k, v in _ADDING.items() if k != "model.units"}
EXPERIMENTS |= {
    "smnist_lwm2d": _SMNIST | _ONE_BLOCK,
    "smnist_linoss": _SMNIST | _ONE_BLOCK | {"model.units": 4_096},
    "psmnist_lwm2d": _PSMNIST | _ONE_BLOCK,
    "psmnist_linoss": _PSMNIST | _ONE_BLOCK | {"model.units": 4_096},
    "nscifar10_lwm2d": _NSCIFAR10 | _ONE_BLOCK | {"num_steps": 20 * 183},
    "copy_lwm1d": _PLAIN_COPY | _LINEAR_WAVES,
    "adding_lwm1d": _PLAIN_ADDING | _LINEAR_WAVES,
    "copy_linoss": _COPY | _LINEAR_WAVES,
    "adding_linoss": _ADDING | _LINEAR_WAVES,
}

# The learning rate and the clip that the paper found best for copying, by T.
_BEST = {
    "copy_wrnn": {
        0: (1e-3, 1.0),
        10: (1e-3, 0.0),
        30: (1e-3, 0.0),
        80: (1e-3, 1.0),
        480: (1e-4, 1.0),
    },
    "copy_irnn": {
        0: (1e-3, 10.0),
        10: (1e-3, 1.0),
        30: (1e-4, 1.0),
        80: (1e-4, 1.0),
        480: (1e-4, 10.0),
    },
}

# Steps and sizes for two CPU cores.
_LAPTOP = {
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
_SMALL = {
    "wrnn": _FASTER | {"model.units": 64, "model.channels": 8},
    "irnn": _FASTER | {"model.units": 128},
    "cornn": {"model.units": 128},
    "nwm2d": {"model.grid": (8, 8), "model.channels": 8},
    "nwm1d": {"model.grid": (8, 8)},
    "uncoupled": {"model.units": 128},
    "lwm2d": {"model.grid": (8, 8), "model.channels": 8},
    "lwm1d": {"model.channels": 8},
    "linoss": {"model.units": 512},
}

_SMOKE = {
    "batch_size": 16,
    "num_steps": 20,
    "log_every": 10,
    "checkpoint_every": 10,
    "eval.every": 10,
    "eval.batch_size": 50,
}
_SMOKE_DATA = {
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
_TINY = {
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


def get_config(name: str, argument: str = "") -> ConfigDict:
    """Returns the config of an experiment.

    Args:
      name: a key of `EXPERIMENTS`.
      argument: ``preset,key=value,...`` (`config.grammar`), where ``T`` and
        ``layout`` stand for ``data.T`` and ``data.layout``. The T of copying that is
        given here chooses the learning rate and the clip that the paper found best.

    Returns:
      A locked config: fields can change their values, not their names or types.

    Raises:
      UserError: unknown experiment, preset or field, or a value of a wrong type.
    """
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    config = _plain(name)
    for field, text in grammar.parse(argument)[1]:
        if SHORT.get(field, field) == "data.T" and name in _BEST:
            length = grammar.coerce(text, config.data.T, field)
            _set(config, _best(name, length))
    return grammar.apply(config, argument, table(name), SHORT)


def table(name: str) -> dict[str, dict[str, Any]]:
    """Returns the presets of an experiment.

    Args:
      name: a key of `EXPERIMENTS`.

    Returns:
      For each of `PRESETS` the dotted fields in which it differs from plain:

      - paper: none.
      - laptop: for two CPU cores: fewer steps and, but for copying, smaller models;
        images of 14 x 14 pixels.
      - smoke: some seconds, images from scikit-learn; shows that everything runs.
    """
    fields, model = EXPERIMENTS[name], _model(name)
    laptop = dict(_LAPTOP[fields["data.name"]])
    if fields["task"] == "classification":
        laptop |= _SMALL.get(model, {})
    elif name == "adding_wrnn":
        laptop |= {"model.channels": 6}
    smoke = _SMOKE | _SMOKE_DATA[fields["data.name"]] | _TINY.get(model, {})
    return {"paper": {}, "laptop": laptop, "smoke": smoke}


def _model(name: str) -> str:
    return next(model for model in MODELS if name.endswith(f"_{model}"))


def template(config: Mapping[str, Any]) -> ConfigDict | None:
    """Returns the plain config whose fields `config` should have.

    Args:
      config: a config of any task, perhaps with mistakes.

    Returns:
      That of the same task and model, of the same name if there is one; None if it is
      of another task, or its model is unknown.
    """
    task, model = config.get("task"), config.get("model", {})
    if task not in TASKS or not isinstance(model, Mapping | ConfigDict):
        return None
    ours = [
        name
        for name, fields in EXPERIMENTS.items()
        if fields["task"] == task and _model(name) == model.get("name")
    ]
    if not ours:
        return None
    return get_config(config["name"] if config.get("name") in ours else ours[0])


def _plain(name: str) -> ConfigDict:
    """The papers' protocol."""
    model = _model(name)
    config = base.common()
    config.update(name=name, data={}, eval={}, model={"name": model, **MODELS[model]})
    _set(config, EXPERIMENTS[name])
    if name in _BEST:
        _set(config, _best(name, config.data.T))
    return config


def _set(config: ConfigDict, fields: Mapping[str, Any]) -> None:
    for field, value in fields.items():
        group, _, key = field.rpartition(".")
        (config[group] if group else config)[key] = value


def _best(name: str, length: int) -> dict[str, float]:
    """What was best at the nearest T."""
    nearest = min(_BEST[name], key=lambda known: abs(known - length))
    rate, clip = _BEST[name][nearest]
    return {"optimizer.learning_rate": rate, "optimizer.clip": clip}

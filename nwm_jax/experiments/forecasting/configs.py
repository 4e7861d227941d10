"""Forecasting experiments: a dataset of moving things, a model, a budget.

`configs/*.py` are thin names for `get_config`. A plain config is the paper's; what its
presets change stands in `budgets`.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar
from nwm_jax.data import suite
from nwm_jax.data.windows import NUM_VALID
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.forecasting import budgets
from nwm_jax.experiments.forecasting.budgets import PRESETS
from nwm_jax.models import splits
from nwm_jax.models.names import LATENT

__all__ = [
    "DATASETS",
    "MODELS",
    "PRESETS",
    "TABLE",
    "dataset_names",
    "definitions",
    "follow",
    "get_config",
    "short_name",
    "summary",
    "template",
    "train_length",
]

# The fields of `config.model` beside its name, for each kind of model.
_OSCILLATORS = {
    "grid": (23, 23),
    "channels": 1,
    "conv_channels": 64,
    "num_observed": 31,
    "num_ic": 31,
    "num_target": 60,
    "decode": "xv",
}
# A kernel of 1 leaves every oscillator alone: a field without coupling.
_FIELD = _OSCILLATORS | {"kernel_size": 3}
# Linear waves: first step sizes, stiffnesses and dampings are uniform in these ranges.
_LINEAR = _FIELD | {
    "scheme": "exact",
    "gyroscopic": True,
    "dt_range": (0.05, 0.5),
    "gamma_range": (0.05, 1.0),
    "alpha_range": (0.001, 0.1),
    "coupling": 0.5,
}
_LAYERS = {
    "latent": 32,
    "units": 250,
    "layers": 5,
    "conv_channels": 64,
    "num_observed": 5,
    "num_target": 60,
}
_GATED = _LAYERS | {"num_ic": 0}
_FORWARD = {"training": "forward", "split": "overlap_by_one"}
_BOTH_WAYS = {"training": "forward_backward", "split": "include_inference"}

#: Models by name, with the paper's values (hgn is HGN++, ode is ODE[TR]; what that
#: paper does not use has the defaults of arXiv:2111.05458).
MODELS: dict[str, dict[str, Any]] = {
    "ar": _GATED,
    "hgn": _LAYERS | _BOTH_WAYS | {"dt": 0.125, "integrator": "leapfrog", "beta": 0.1},
    "ode": _LAYERS | _BOTH_WAYS | {"dt": 0.125, "integrator": "dopri5", "beta": 1.0},
    "cornn": _OSCILLATORS,
    "nwm2d": _FIELD,
    "nwm1d": _FIELD,
    "lwm2d": _LINEAR,
    "lwm1d": _LINEAR,
    "ar_gru": _GATED,
    "ar_vanilla": _GATED,
    "lgn": _LAYERS | _FORWARD | {"dt": 0.125, "integrator": "midpoint", "beta": 1.0},
    "rgn": _LAYERS | {"split": "overlap_by_one", "residual": True, "beta": 1.0},
    "hgn_conv": {
        "latent_channels": 32,
        "conv_channels": 64,
        "num_observed": 31,
        "num_target": 0,
        "dt": 0.125,
        "integrator": "leapfrog",
        "kappa": 1e-3,
    },
}

#: Rows and columns of the paper's table.
TABLE = (
    ("spring", "pendulum", "two_body", "pennies", "double_pendulum"),
    ("ar", "hgn", "ode", "cornn", "nwm2d", "nwm1d"),
)


def short_name(dataset: str) -> str:
    """Returns the configs' name of a dataset: "spring" for the suite's "mass_spring"."""
    return re.sub("^mass_|^matching_", "", dataset)


#: Names of datasets: the table's, then all others of the suite.
DATASETS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *TABLE[0],
            *(short_name(name) for name in suite.DATASETS),
            *suite.DATASETS,
        ]
    )
)


#: The time between two frames of datasets that were registered by their users.
OWN_DATASETS: dict[str, float] = {}


def dataset_names() -> tuple[str, ...]:
    """Returns the names that `data.name` may have without a `data.path`."""
    return (*DATASETS, *OWN_DATASETS)


def definitions() -> dict[str, Callable[[str], ConfigDict]]:
    """Returns ``get_config(argument)`` of every dataset with every model, by name."""
    return {
        f"{dataset}_{model}": functools.partial(get_config, dataset, model)
        for dataset in dataset_names()
        for model in MODELS
    }


def summary() -> str:
    """Describes how the names of `definitions` are made."""
    datasets = dict.fromkeys(map(short_name, dataset_names()))
    return (
        f"DATASET_MODEL, where DATASET is one of {', '.join(datasets)} and "
        f"MODEL one of {', '.join(MODELS)}"
    )


def follow(config: ConfigDict, field: str, old: Any) -> None:
    """Sets what follows from another dataset: its default `data.dt`, the config's name.

    Args:
      config: changed in place.
      field: the dotted field that was just overridden.
      old: its former value.
    """
    if field != "data.name" or "dt" not in config.data:
        return
    new, model = config.data.name, config.get("model", {}).get("name")
    if config.get("name") == f"{old}_{model}":
        config.name = f"{new}_{model}"
    with contextlib.suppress(UserError):  # your own movies have any name
        if config.data.dt == _dt(old):
            config.data.dt = _dt(new)


def get_config(dataset: str, model: str, argument: str = "") -> ConfigDict:
    """Returns the config of one model on one dataset.

    Args:
      dataset: one of `DATASETS`.
      model: a key of `MODELS`.
      argument: ``preset,key=value,...`` (`config.grammar`); empty: the
        paper's values.

    Returns:
      A locked config: fields can change their values, not their names or types.

    Raises:
      UserError: unknown dataset, model, preset or field, or a value of a wrong type.
    """
    for kind, name, known in (
        ("dataset", dataset, dataset_names()),
        ("model", model, MODELS),
    ):
        if name not in known:
            raise unknown(kind, name, known)
    return grammar.apply(
        _plain(dataset, model), argument, budgets.table(model, MODELS[model])
    )


def template(config: Mapping[str, Any]) -> ConfigDict | None:
    """Returns the plain config whose fields `config` should have.

    Args:
      config: a config of any task, perhaps with mistakes.

    Returns:
      The plain config of its dataset (any dataset, where the clips are your own) and
      model; None if it is of another task, or its model is unknown.
    """
    if config.get("task") != "forecasting":
        return None
    groups = [config.get(group, {}) for group in ("data", "model")]
    if not all(isinstance(group, Mapping | ConfigDict) for group in groups):
        return None
    dataset, model = (group.get("name") for group in groups)
    if dataset is None or model not in MODELS:
        return None
    return get_config(dataset if dataset in dataset_names() else DATASETS[0], model)


def train_length(model: Mapping[str, Any]) -> int:
    """Frames of a training clip; all frames after them are extrapolation.

    Args:
      model: a config's `model`.
    """
    found = cut(model)
    return found.train_length if found else model["num_target"]


def cut(model: Mapping[str, Any]) -> splits.Split | None:
    """How a latent model cuts a training clip; None for the other models.

    Args:
      model: a config's `model`.

    Raises:
      UserError: what does not go together.
    """
    if model["name"] not in LATENT:
        return None
    return splits.get(
        model.get("training", "forward"),
        model.get("split", "include_inference"),
        model["num_observed"],
        model["num_target"],
        reversible=model["name"] != "rgn",
    )


def _dt(dataset: str) -> float:
    if dataset in OWN_DATASETS:
        return OWN_DATASETS[dataset]
    return suite.get(dataset).dt


def _plain(dataset: str, model: str) -> ConfigDict:
    """The paper's protocol."""
    config = base.common()
    config.name = f"{dataset}_{model}"
    config.task = "forecasting"
    config.data = ConfigDict(
        {
            "name": dataset,
            "path": "",
            "cache_dir": "",
            "num_train": 50_000,
            "num_valid": NUM_VALID,
            "num_test": 20_000,
            "num_frames": 256,
            "dt": _dt(dataset),
            "seed": 0,
        }
    )
    config.model = ConfigDict({"name": model, **MODELS[model]})
    config.eval = ConfigDict(
        {
            "every": 0,
            "num_windows": 512,
            "num_mean_windows": 1_024,
            "num_vpt": 250,
            "batch_size": 16,
            "horizon": 60,
        }
    )
    return config

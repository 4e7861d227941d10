"""Forecasting experiments: a dataset of moving things, a recurrent model, a budget.

`configs/*.py` are thin names for `get_config`; a preset is a table of the fields in
which it differs from the plain config, which is the paper's.
"""

from typing import Any

from ml_collections import ConfigDict

from nwm_jax.errors import UserError
from nwm_jax.presets import base, grammar

# Config name -> fields that differ from `_plain`.
DATASETS: dict[str, dict[str, Any]] = {
    "spring": {},
    "pendulum": {},
}
MODELS: dict[str, dict[str, Any]] = {
    "nwm2d": {},
    "nwm1d": {},
    "cornn": {},
}

# Steps this large need their length bounded and, at the end, to become small: without
# the clip at 0.1, or at 3e-3, the pendulum's loss stays several times higher.
_FAST = {
    "optimizer.learning_rate": 2e-3,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_steps": 40,
    "optimizer.clip": 0.1,
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    # The paper's windows: a roll-out goes wrong soon after it is longer than the clips
    # of the training. A smaller network, fewer and larger steps.
    "laptop": _FAST
    | {
        "batch_size": 8,
        "num_steps": 4_000,
        "checkpoint_every": 500,
        "data.num_train": 20_000,
        "data.num_test": 2_000,
        "model.grid": (12, 12),
        "model.conv_channels": 8,
        "model.num_ic": 16,
    },
    "smoke": _FAST
    | {
        "batch_size": 4,
        "num_steps": 20,
        "log_every": 10,
        "checkpoint_every": 10,
        "optimizer.warmup_steps": 2,
        "data.num_train": 64,
        "data.num_test": 32,
        "data.num_frames": 64,
        "model.grid": (6, 6),
        "model.conv_channels": 4,
        "model.num_observed": 5,
        "model.num_ic": 5,
        "model.num_target": 12,
        "eval.num_windows": 8,
        "eval.num_mean_windows": 64,
        "eval.batch_size": 8,
        "eval.horizon": 12,
    },
}


def get_config(dataset: str, model: str, argument: str = "") -> ConfigDict:
    """Returns the config of one model on one dataset.

    Args:
      dataset: a key of `DATASETS`.
      model: a key of `MODELS`.
      argument: ``preset,key=value,...`` (`nwm_jax.presets.grammar`); empty: the
        paper's values.

    Returns:
      A locked config: fields can change their values, not their names or types.

    Raises:
      UserError: unknown dataset, model, preset or field, or a value of a wrong type.
    """
    for kind, name, known in (("dataset", dataset, DATASETS), ("model", model, MODELS)):
        if name not in known:
            raise UserError(f"unknown {kind} {name!r}; {grammar.nearest(name, known)}")
    config = _plain(dataset, model)
    config.update_from_flattened_dict(DATASETS[dataset] | MODELS[model])
    return grammar.apply(config, argument, PRESETS)


def _plain(dataset: str, model: str) -> ConfigDict:
    """The paper's protocol, before what is special to a dataset or a model."""
    config = base.common()
    config.name = f"{dataset}_{model}"
    config.task = "forecasting"
    config.data = ConfigDict(
        {
            "name": dataset,
            "path": "",
            "cache_dir": "",
            "num_train": 50_000,
            "num_test": 20_000,
            "num_frames": 256,
            "dt": 0.05,
            "seed": 0,
        }
    )
    config.model = ConfigDict(
        {
            "name": model,
            "grid": (23, 23),
            "channels": 1,
            "conv_channels": 64,
            "num_observed": 31,
            "num_ic": 31,
            "num_target": 60,
        }
    )
    config.eval = ConfigDict(
        {
            "every": 0,
            "num_windows": 512,
            "num_mean_windows": 1_024,
            "batch_size": 16,
            "horizon": 60,
        }
    )
    return config

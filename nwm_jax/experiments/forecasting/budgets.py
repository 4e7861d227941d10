"""Presets: what an experiment may cost, and what its models have in common.

A preset is a table of the fields in which it differs from the paper's config. Those of
`config.model` depend on the kind of the model.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nwm_jax.config.base import Config

#: Learning rates of `laptop`, `fair_laptop` and `night`, by model: winners of searches of
#: equal size over 5e-4 to 4e-3, and a rate beyond where the best was at the edge. Geometric
#: means of the relative MSE of the winner, and of the runner-up: ar 0.06563, 0.06563;
#: hgn 0.0606, 0.0614; ode 0.0569, 0.0577; cornn 0.0043, 0.0066; nwm2d 0.0126, 0.0130;
#: nwm1d 0.0084, 0.0115 (docs/results/tuning.md). Other models take `_FAST`'s.
LEARNING_RATES = {
    "ar": 8e-3,
    "hgn": 4e-3,
    "ode": 2e-3,
    "cornn": 2e-3,
    "nwm2d": 2e-3,
    "nwm1d": 2e-3,
}

# Steps this large need their length bounded and, at the end, to become small: without
# the clip at 0.1, or at 3e-3, the pendulum's loss stays several times higher.
_FAST = {
    "optimizer.learning_rate": 2e-3,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_steps": 40,
    "optimizer.clip": 0.1,
}

# The paper's windows: a roll-out goes wrong soon after it is longer than the clips
# of the training. A smaller network, fewer and larger steps. The protocol's name changes
# whenever its numbers do.
_LAPTOP = _FAST | {
    "protocol": "laptop-v2",
    "batch_size": 8,
    "num_steps": 4_000,
    "checkpoint_every": 500,
    "data.num_train": 20_000,
    "data.num_test": 2_000,
    "model.conv_channels": 8,
}

# What a long run changes of `laptop`. Few rows of its log, for all of it is kept.
_NIGHT = {
    "protocol": "night",
    "num_steps": 40_000,
    "log_every": 500,
    "checkpoint_every": 1_000,
    "eval.every": 1_000,
}
_FAIR_LAPTOP = _LAPTOP | {"protocol": "fair_laptop-v2"}

_SMOKE = _FAST | {
    "batch_size": 4,
    "num_steps": 20,
    "log_every": 10,
    "checkpoint_every": 10,
    "optimizer.warmup_steps": 2,
    "data.num_train": 64,
    "data.num_valid": 32,
    "data.num_test": 32,
    "data.num_frames": 64,
    "model.conv_channels": 4,
    "model.num_observed": 5,
    "eval.num_windows": 8,
    "eval.num_mean_windows": 64,
    "eval.num_vpt": 8,
    "eval.batch_size": 8,
    "eval.horizon": 12,
}

# The same clips of 60 frames for training, the same 31 observed frames and, since
# evaluation windows are `eval.horizon` = 60 frames longer, the same scored frames.
_TEACHER_FORCED_FRAMES = {"model.num_observed": 31, "model.num_target": 60}
_INCLUDED_FRAMES = {"model.num_observed": 31, "model.num_target": 29}
_OVERLAP_FRAMES = {"model.num_observed": 31, "model.num_target": 30}


def _oscillators() -> dict[str, dict[str, Any]]:
    grid = {"model.grid": (12, 12), "model.num_ic": 16}
    fair = _TEACHER_FORCED_FRAMES
    return {
        "laptop": _LAPTOP | grid,
        "smoke": _SMOKE
        | {"model.grid": (6, 6), "model.num_ic": 5, "model.num_target": 12},
        "fair": fair | {"model.grid": (14, 14)},
        "fair_laptop": _FAIR_LAPTOP | grid | fair,
    }


def _layered(
    frames: Mapping[str, int], units: int, units_laptop: int
) -> dict[str, dict[str, Any]]:
    """Returns the presets of a model whose size is set by the width of its layers.

    Args:
      frames: the fields by which its frames are those of all others.
      units: width with which it has the parameters of the others in `fair`.
      units_laptop: the same in `fair_laptop`.
    """
    return {
        "laptop": _LAPTOP | {"model.units": 100},
        "smoke": _SMOKE
        | {"model.latent": 8, "model.units": 16, "model.num_target": 12},
        "fair": {**frames, "model.units": units},
        "fair_laptop": {**_FAIR_LAPTOP, **frames, "model.units": units_laptop},
    }


def _convolved() -> dict[str, dict[str, Any]]:
    """Returns the presets of the model with a latent image."""
    frames = _INCLUDED_FRAMES
    return {
        "laptop": _LAPTOP | {"model.latent_channels": 16},
        "smoke": _SMOKE | {"model.latent_channels": 4},
        "fair": frames | {"model.conv_channels": 134},
        "fair_laptop": _FAIR_LAPTOP | frames | {"model.conv_channels": 86},
    }


#: Presets by model; models of users may have some. Widths by counting: 2.5 million
#: parameters in `fair`, 1.1 million in `fair_laptop`.
BY_MODEL: dict[str, dict[str, dict[str, Any]]] = {
    "ar": _layered(_TEACHER_FORCED_FRAMES, 267, 188),
    "ar_gru": _layered(_TEACHER_FORCED_FRAMES, 309, 218),
    "ar_vanilla": _layered(_TEACHER_FORCED_FRAMES, 539, 381),
    "hgn": _layered(_INCLUDED_FRAMES, 568, 403),
    "lgn": _layered(_OVERLAP_FRAMES, 557, 392),
    "ode": _layered(_INCLUDED_FRAMES, 796, 562),
    "rgn": _layered(_OVERLAP_FRAMES, 796, 562),
    "cornn": _oscillators(),
    "nwm2d": _oscillators(),
    "nwm1d": _oscillators(),
    "lwm2d": _oscillators(),
    "lwm1d": _oscillators(),
    "hgn_conv": _convolved(),
}


def usual(fields: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns the presets of a model of which only the fields are known.

    Args:
      fields: the dotted names of all fields of its config.

    Returns:
      "laptop" and "smoke" with the lengths of training and clips that all models have.
    """
    clips = {"model.num_ic": 5, "model.num_target": 12, "model.grid": (6, 6)}
    tables = {"laptop": _LAPTOP, "smoke": _SMOKE | clips}
    known = {*fields}
    return {
        name: {k: v for k, v in table.items() if k in known}
        for name, table in tables.items()
    }


def presets(plain: Config) -> dict[str, dict[str, Any]]:
    """Returns the presets of a plain config.

    - paper: no change.
    - laptop: 10 to 15 minutes on two CPU cores.
    - smoke: half a minute; shows that everything runs, not that it learns.
    - fair: the paper's number of steps, but for all models the same training clips, the
      same observed and scored frames, and parameter counts within 10 %.
    - fair_laptop: the same at the cost of laptop (except for hgn_conv, whose parameters
      are those of convolutions, and expensive).
    - night: laptop with ten times the steps.
    """
    model = plain.model.name
    tables = dict(BY_MODEL.get(model) or usual(plain.meanings()))
    if model in LEARNING_RATES:
        rate = {"optimizer.learning_rate": LEARNING_RATES[model]}
        tables |= {name: tables[name] | rate for name in ("laptop", "fair_laptop")}
    if "laptop" in tables:
        tables["night"] = tables["laptop"] | _NIGHT
    return {"paper": {}, **tables}

"""Ranges of the fields of segmentation configs."""

from collections.abc import Mapping, Sequence
from typing import Any

from nwm_jax.config import checks
from nwm_jax.core import readouts
from nwm_jax.experiments.segmentation import configs

_AT_LEAST = {
    2: "data.cell model.depth",
    1: "data.side data.zoom data.most model.channels model.units model.num_steps "
    "model.width model.features",
    0: "data.num_train data.num_valid data.num_test model.hidden_layers",
}


def choices() -> Mapping[str, Sequence[Any]]:
    """Returns the values that fields may have, by dotted field."""
    return {"model.readout": readouts.READOUTS, "data.digits": configs.DIGITS}


def check(flat: dict[str, Any]) -> None:
    """Checks the ranges of all fields.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    for least, fields in _AT_LEAST.items():
        checks.at_least(flat, least, fields.split())

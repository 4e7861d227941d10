"""Ranges of the fields of the configs of sequence tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from nwm_jax.config import checks
from nwm_jax.core import coupling, scans, wave
from nwm_jax.data.sequences import copy_memory

_AT_LEAST = {
    1: "data.pool model.channels model.kernel_size model.units eval.num_examples",
    0: "data.T data.length data.num_train data.num_valid data.num_test "
    "model.readout_hidden",
}


def choices() -> Mapping[str, Sequence[Any]]:
    """Returns the values that fields may have, by dotted field."""
    return {
        "data.layout": copy_memory.LAYOUTS,
        "model.activation": tuple(scans.ACTIVATIONS),
        "model.coupling_init": wave.COUPLING_INITS,
        "model.input_init": wave.INPUT_INITS,
    }


def check(flat: dict[str, Any]) -> None:
    """Checks the ranges of all fields.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    for least, fields in _AT_LEAST.items():
        checks.at_least(flat, least, fields.split())
    checks.one_of(flat, "conv", coupling.IMPLEMENTATIONS)

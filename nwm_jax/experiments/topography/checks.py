"""Ranges of the fields of topography configs."""

from collections.abc import Mapping, Sequence
from typing import Any

from nwm_jax.config import checks
from nwm_jax.core import coupling
from nwm_jax.data.topography.rotation import PERIOD
from nwm_jax.models import names

_AT_LEAST = {
    1: "data.num_frames data.size model.kernel_size eval.num_examples eval.num_waves",
    0: "data.num_train data.num_valid data.num_test",
}


def choices() -> Mapping[str, Sequence[Any]]:
    """Returns the values that fields may have, by dotted field."""
    return {"model.start": names.STARTS}


def check(flat: dict[str, Any]) -> None:
    """Checks the ranges of all fields.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    for least, fields in _AT_LEAST.items():
        checks.at_least(flat, least, fields.split())
    checks.positive(flat, ["data.wavelength"])
    checks.one_of(flat, "conv", coupling.IMPLEMENTATIONS)
    checks.grid(flat["model.grid"], flat["model.kernel_size"])
    for field in ("data.num_frames", "eval.num_frames"):
        if flat[field] < PERIOD or flat[field] % PERIOD:
            checks.refuse(
                field,
                flat[field],
                f"whole periods, a multiple of {PERIOD} frames: after the last frame the "
                "first one is predicted",
            )
    if not 0 < flat["model.dt"] < 1:
        checks.refuse("model.dt", flat["model.dt"], "between 0 and 1")
    for field in ("model.encoder", "model.decoder"):
        if any(type(width) is not int or width < 1 for width in flat[field]):
            checks.refuse(
                field, flat[field], "widths of layers, integers of at least 1"
            )

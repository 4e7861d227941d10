"""Checks of single fields of a flat config, each ending in one clear line."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from nwm_jax.errors import UserError, unknown

Flat = dict[str, Any]


def one_of(flat: Flat, field: str, choices: Sequence[Any]) -> None:
    """Refuses a field whose value is not among `choices`; a missing field passes."""
    if field in flat and flat[field] not in choices:
        raise unknown(field, flat[field], choices)


def at_least(flat: Flat, least: int, fields: Iterable[str]) -> None:
    """Refuses fields that are below `least` or not finite; missing fields pass."""
    for field in fields:
        if field in flat and not least <= flat[field] < math.inf:
            refuse(field, flat[field], f"at least {least}")


def positive(flat: Flat, fields: Iterable[str]) -> None:
    """Refuses fields that are not finite numbers above 0; missing fields pass."""
    for field in fields:
        if field in flat and not 0 < flat[field] < math.inf:
            refuse(field, flat[field], "a finite number above 0")


def order(flat: Flat, small: str, large: str) -> None:
    """Refuses a field `small` above the field `large`."""
    if flat[small] > flat[large]:
        refuse(small, flat[small], f"at most {large}={flat[large]}")


def grid(value: tuple, kernel_size: int) -> None:
    """Refuses a `model.grid` that is not (height, width), or an even kernel."""
    if len(value) != 2 or any(type(n) is not int or n < 1 for n in value):
        refuse("model.grid", value, "two integers of at least 1, (height, width)")
    if kernel_size % 2 == 0:
        refuse("model.kernel_size", kernel_size, "odd")


def refuse(field: str, value: Any, wanted: str) -> NoReturn:
    """Raises the `UserError` "field=value must be wanted"."""
    shown = str(value).replace(", ", ",")
    raise UserError(f"{field}={shown} must be {wanted}")

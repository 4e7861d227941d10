"""What a field of a config means, and the values that it may have."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from nwm_jax.errors import UserError, unknown

Flat = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a config.

    Attributes:
      meaning: what it is, a phrase for ``--help``.
      least: its smallest value; the field must be finite then.
      above: a bound below all its values; the field must be finite then.
      choices: its values, where they are few.
    """

    meaning: str
    least: int | None = None
    above: float | None = None
    choices: Sequence[Any] = ()

    def check_choice(self, name: str, value: Any) -> None:
        """Refuses a value that is not one of `choices`.

        Raises:
          UserError: one line with the nearest name.
        """
        if self.choices and value not in self.choices:
            raise unknown(name, value, self.choices)

    def check_range(self, name: str, value: Any) -> None:
        """Refuses a value outside of the range.

        Raises:
          UserError: one line with the field and its value.
        """
        if self.least is not None and not self.least <= value < math.inf:
            refuse(name, value, f"at least {self.least}")
        if self.above is not None and not self.above < value < math.inf:
            refuse(name, value, f"a finite number above {self.above:g}")


def countable(flat: Flat, but: Sequence[str] = ()) -> None:
    """Refuses integers, alone or in a tuple, that an int32 does not hold.

    Steps are counted in int32 on the device, and no size of an array can be larger.
    """
    for field, value in flat.items():
        parts = value if isinstance(value, (tuple, list)) else (value,)
        if field not in but and any(
            type(part) is int and not -(2**31) < part < 2**31 for part in parts
        ):
            refuse(field, value, "below 2**31")


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

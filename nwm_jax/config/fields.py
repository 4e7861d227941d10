"""Groups of fields: values, what they mean and what they may be, in one place.

A group is a frozen dataclass of fields and of other groups:

    @dataclasses.dataclass(frozen=True)
    class Optimizer(Group):
        learning_rate: float = field(1.5e-4, "the largest learning rate", above=0)

`config.base.to_config` makes the `ConfigDict` that tasks and users see.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from nwm_jax.errors import UserError, unknown


@dataclasses.dataclass(frozen=True)
class Field:
    """What a field of a config means, and the values that it may have.

    Attributes:
      meaning: what it is, a phrase for ``--help``.
      least: its smallest value; the field must be finite then.
      above: a bound below all its values; the field must be finite then.
      choices: its values, where they are few.
      check: (name, value) -> None; raises `UserError` for other values that it must not
        have.
      bits: its integers, alone or in a tuple, are below ``2**bits``. Steps are counted
        in int32 on the device, and no size of an array can be larger.
    """

    meaning: str = ""
    least: int | None = None
    above: float | None = None
    choices: Sequence[Any] = ()
    check: Callable[[str, Any], None] | None = None
    bits: int = 31

    def refuse_wrong(self, name: str, value: Any) -> None:
        """Refuses a value that the field must not have.

        Raises:
          UserError: one line with the dotted name, the value and the remedy.
        """
        if self.choices and value not in self.choices:
            raise unknown(name, value, self.choices)
        parts = value if isinstance(value, (tuple, list)) else (value,)
        if any(type(n) is int and not -(2**31) < n < 2**self.bits for n in parts):
            refuse(name, value, f"below 2**{self.bits}")
        if self.least is not None and not self.least <= value < math.inf:
            refuse(name, value, f"at least {self.least}")
        if self.above is not None and not self.above < value < math.inf:
            refuse(name, value, f"a finite number above {self.above:g}")
        if self.check:
            self.check(name, value)
        if any(isinstance(n, float) and not math.isfinite(n) for n in parts):
            refuse(name, value, "finite")


def field(default: Any, meaning: str, **limits: Any) -> Any:
    """Returns a field of a group: its value, its meaning and the limits of `Field`."""
    metadata = {"field": Field(meaning, **limits)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Group:
    """Fields that stand together, such as those of one model."""

    def check(self) -> None:
        """Refuses values that do not fit each other.

        Raises:
          UserError: the first mistake, in one line with the field's dotted name.
        """

    def groups(self) -> dict[str, "Group"]:
        """Returns the groups in it, by name."""
        return {
            part.name: getattr(self, part.name)
            for part in dataclasses.fields(self)
            if isinstance(getattr(self, part.name), Group)
        }

    def meanings(self, prefix: str = "") -> dict[str, Field]:
        """Returns every `Field` by its dotted name, those of its groups included."""
        groups = self.groups()
        fields: dict[str, Field] = {}
        for part in dataclasses.fields(self):
            name = f"{prefix}{part.name}"
            if part.name in groups:
                fields |= groups[part.name].meanings(f"{name}.")
            else:
                fields[name] = part.metadata.get("field", Field())
        return fields

    def filled(self, values: Mapping[str, Any]) -> Self:
        """Returns the same group with those values of a nested mapping that are its."""
        groups = self.groups()
        new = {
            part.name: values[part.name]
            for part in dataclasses.fields(self)
            if part.name in values
        }
        new |= {n: group.filled(new[n]) for n, group in groups.items() if n in new}
        return dataclasses.replace(self, **new)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Returns the same group with other values of dotted fields."""
        new: dict[str, Any] = {}
        for name, value in values.items():
            group, _, rest = name.partition(".")
            known = new.get(group, getattr(self, group))
            new[group] = known.changed({rest: value}) if rest else value
        return dataclasses.replace(self, **new)

    def check_all(self) -> None:
        """Checks its groups, then itself, see `check`."""
        for group in self.groups().values():
            group.check_all()
        self.check()


def odd(name: str, value: int) -> None:
    """Refuses an even width of a kernel."""
    if value % 2 == 0:
        refuse(name, value, "odd")


def grid(name: str, value: tuple) -> None:
    """Refuses what is not (height, width)."""
    if len(value) != 2 or any(type(n) is not int or n < 1 for n in value):
        refuse(name, value, "two integers of at least 1, (height, width)")


def refuse(field: str, value: Any, wanted: str) -> NoReturn:
    """Raises the `UserError` "field=value must be wanted"."""
    shown = str(value).replace(", ", ",")
    raise UserError(f"{field}={shown} must be {wanted}")

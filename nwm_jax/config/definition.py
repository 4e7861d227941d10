"""A config with a name: its plain values and what its presets change."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar

Presets = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Definition:
    """A ``get_config(argument)`` whose fields have meanings and limits.

    Attributes:
      plain: the values without a preset, the paper's.
      changes: (plain) -> for each preset the dotted fields in which it differs.
      short: names by which the argument may call some dotted fields.
    """

    plain: base.Config
    changes: Callable[[Any], Presets]
    short: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def presets(self) -> Presets:
        """Returns for each preset the dotted fields in which it differs from plain."""
        return self.changes(self.plain)

    def __call__(self, argument: str = "") -> ConfigDict:
        """Returns a locked config: values can change, names and types cannot.

        Args:
          argument: ``preset,key=value,...`` (`config.grammar`).

        Raises:
          UserError: unknown preset or field, or a value of a wrong type.
        """
        config = base.to_config(self.plain)
        return grammar.apply(config, argument, self.presets(), self.short)

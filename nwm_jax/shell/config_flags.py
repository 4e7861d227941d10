"""The flag ``--config`` in its two meanings, and ``--config.field=value``."""

import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict

from nwm_jax.config import presets
from nwm_jax.errors import UserError


class ConfigParser(flags.ArgumentParser):
    """Reads ``path/to/file.py:argument`` or ``name:argument``."""

    def parse(self, argument: str | ConfigDict) -> ConfigDict:
        """Returns the config."""
        if isinstance(argument, ConfigDict):
            return argument
        return presets.load(argument)

    def flag_type(self) -> str:
        """Returns what the flag takes."""
        return "config"


def config_flag(
    flag_values: flags.FlagValues = flags.FLAGS,
    *,
    required: bool = True,
) -> flags.FlagHolder:
    """Defines ``--config`` and with it every ``--config.field=value``.

    Args:
      flag_values: where to define it.
      required: whether a missing ``--config`` is a mistake.

    Returns:
      The holder; within `main`, its `value` is the config with the overrides applied
      and its ranges checked, or None.
    """
    return flags.DEFINE(
        ConfigParser(),
        "config",
        None,
        "the experiment: file.py:preset,field=value,... or a name that comes with the "
        "package, such as pendulum_nwm2d:laptop; set any field with "
        "--config.field=value",
        flag_values=flag_values,
        serializer=flags.ArgumentSerializer(),
        required=required,
    )


def definitions_flag(
    flag_values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder:
    """Defines a ``--config`` that is run for what it registers, see `define`."""
    return flags.DEFINE_string(
        "config",
        None,
        "a config file of your own that the run was trained with, if it defines a cell, "
        "a model, a dataset or a task: file.py, or all that stood there in training",
        flag_values=flag_values,
    )


def define(path: str | None) -> None:
    """Registers what a user's config file defines; nothing for None.

    A workdir names its model and its task alone: to read one never runs a file.

    Raises:
      UserError: no such file, or it raises.
    """
    if path:
        presets.define(path)


def takes_config(flag_values: flags.FlagValues) -> bool:
    """Returns whether ``--config`` is the experiment, with its overrides."""
    return "config" in flag_values and isinstance(
        flag_values["config"].parser, ConfigParser
    )


def take_overrides(
    argv: Sequence[str],
) -> tuple[list[str], list[tuple[str, str | None]]]:
    """Takes ``--config.field=value`` and its other spellings out of the arguments."""
    kept, overrides, queue = [], [], list(argv)
    while queue:
        argument = queue.pop(0)
        if argument == "--":
            kept += [argument, *queue]
            break
        match = re.match(r"--?(no)?config\.([^=]*)(?:=(.*))?$", argument, re.DOTALL)
        if not match:
            kept.append(argument)
            continue
        negated, field, text = match.groups()
        if negated and text is not None:
            raise UserError(f"--noconfig.{field} takes no value")
        if negated:
            text = "false"
        elif text is None and queue and not queue[0].startswith("--"):
            text = queue.pop(0)
        overrides.append((field, text))
    return kept, overrides

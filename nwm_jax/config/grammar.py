"""The grammar of a config's argument: ``preset,key=value,...``.

The first token may name a preset; every other token sets one dotted field, read with
the type that the field already has: ``laptop,seed=3,model.grid=(5,5)``.
"""

import ast
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.errors import UserError, unknown
from nwm_jax.training import registry
from nwm_jax.training.fields import flatten

DEFAULT_PRESET = "paper"

# Fields that a number does not depend on, or that stand beside every number:
# overriding them leaves the protocol's name alone.
_NOT_PROTOCOL = {
    "name",
    "preset",
    "protocol",
    "seed",
    "steps_per_dispatch",
    "log_every",
    "checkpoint_every",
    "conv",
    "remat",
    "tensorboard",
    "wandb",
    "data.cache_dir",
    "eval.every",
    "eval.batch_size",
}

_MOST_DIGITS = 18

_EXPECTED = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    tuple: "a tuple such as (5,5)",
}


def parse(argument: str) -> tuple[str, list[tuple[str, str]]]:
    """Splits ``preset,key=value,...`` into the preset and the pairs (field, text).

    Args:
      argument: what stands after the colon of ``--config=file.py:argument``; commas
        inside brackets and quotes do not separate. Empty: the default preset.

    Returns:
      The name of the preset and the overrides in the order in which they stand.

    Raises:
      UserError: a token other than the first is not ``key=value``.
    """
    tokens = _split(argument)
    preset = DEFAULT_PRESET
    if tokens and "=" not in tokens[0]:
        preset = tokens.pop(0) or DEFAULT_PRESET
    overrides = []
    for token in tokens:
        field, equals, text = token.partition("=")
        if not equals or not field.strip():
            raise UserError(
                f"{token!r} in the config's argument {argument!r} is not key=value "
                "(only a preset, in the first place, stands without '=')"
            )
        overrides.append((field.strip(), text.strip()))
    return preset, overrides


def apply(
    config: ConfigDict,
    argument: str,
    presets: Mapping[str, Mapping[str, Any]],
    short: Mapping[str, str] | None = None,
) -> ConfigDict:
    """Applies a preset and the overrides of `argument` to `config`, in place.

    Args:
      config: the plain config, changed and locked.
      argument: ``preset,key=value,...``.
      presets: for each preset, the dotted fields in which it differs from plain; where
        its `protocol` is not among them, that is the preset's name.
      short: names by which the argument may call some dotted fields.

    Returns:
      `config`.

    Raises:
      UserError: unknown preset or field, or a value of another type than the field's.
    """
    preset, overrides = parse(argument)
    if preset not in presets:
        raise unknown("preset", preset, presets)
    config.preset = config.protocol = preset
    for field, value in presets[preset].items():
        group, key = _locate(config, field)
        group[key] = value
    names = short or {}
    override_all(config, [(names.get(field, field), text) for field, text in overrides])
    return config.lock()


def override_all(
    config: ConfigDict, overrides: Iterable[tuple[str, str | None]]
) -> None:
    """Sets several fields, see `override`.

    Those from which others follow come first, so that what is given for the others
    holds.

    Args:
      config: the config, changed in place.
      overrides: pairs (field, text).

    Raises:
      UserError: see `override`.
    """
    rules = _rules(config)
    for field, text in sorted(overrides, key=lambda pair: pair[0] not in rules):
        override(config, field, text)


def override(config: ConfigDict, field: str, text: str | None) -> None:
    """Sets one dotted field from the text that a user typed.

    A field that decides what a number means also leaves its mark in
    ``config.protocol``, so that a changed paper run is not reported as the paper's.
    What follows from the field is set by the rule of the config's experiment, see
    `training.registry.Experiment`.

    Args:
      config: the config, changed in place.
      field: dotted, such as ``optimizer.learning_rate``.
      text: the value as typed; None stands for a flag without a value, which only
        true-or-false fields take.

    Raises:
      UserError: unknown field or a value of another type than the field's.
    """
    group, key = _locate(config, field)
    old, value = group[key], coerce(text, group[key], field)
    # Convolutions agree to rounding, except those in bfloat16.
    if value != old and (field not in _NOT_PROTOCOL or value == "bf16"):
        _mark(config, field, value)
    group[key] = value
    rules = _rules(config)
    if field in rules:
        rules[field](config, old)


def _rules(config: ConfigDict) -> Mapping[str, Callable[[ConfigDict, Any], None]]:
    experiment = registry.find(config.get("task"))
    return experiment.follow if experiment else {}


def coerce(text: str | None, like: Any, field: str) -> Any:
    """Reads `text` as a value of the type of `like`.

    Args:
      text: what was typed; None for a flag without a value.
      like: the field's present value: bool, int, float, str or tuple (whose first
        element has the type of all).
      field: the name to blame.

    Returns:
      The value. An integer is good for a float, never a float for an integer.

    Raises:
      UserError: the text does not read as that type.
    """
    if isinstance(like, ConfigDict):
        fields = ", ".join(f"{field}.{key}" for key in like)
        raise UserError(f"{field} is a group of fields; set one of {fields}")
    if text is None:
        if isinstance(like, bool):
            return True
        raise UserError(f"{field} takes {_expected(like)}; write {field}=value")
    reader = _READERS.get(type(like))
    if reader is None:
        raise UserError(f"{field} cannot be set from the command line")
    try:
        return reader(text.strip(), like)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise UserError(f"{field} takes {_expected(like)}, not {text!r}") from None


def nearest_field(config: ConfigDict, field: str) -> str:
    """Returns "did you mean 'x'?" for a dotted field, else the fields nearby.

    A forgotten or wrong group is found too: ``learning_rate`` and
    ``model.learning_rate`` both lead to ``optimizer.learning_rate``.
    """
    fields = list(flatten(config))
    group, _, last = field.rpartition(".")
    known_group = isinstance(config.get(group), ConfigDict)
    near = [f"{group}.{key}" for key in config[group]] if known_group else list(config)
    by_last = {other.rpartition(".")[2]: other for other in reversed(fields)}
    if known_group:
        by_last |= {other.rpartition(".")[2]: other for other in near}
    close = difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)
    if close:
        same = [other for other in fields if other.rpartition(".")[2] == close[0]]
        best = by_last[close[0]] if known_group else nearest_of(field, same)
        return f"did you mean {best!r}?"
    if not known_group:
        close = difflib.get_close_matches(field, fields, n=1, cutoff=0.7)
        if close:
            return f"did you mean {close[0]!r}?"
    return "choose from " + ", ".join(near)


def nearest_of(name: str, options: list[str]) -> str:
    """Returns the option that resembles `name` most."""
    return max(options, key=lambda o: difflib.SequenceMatcher(None, name, o).ratio())


def _split(argument: str) -> list[str]:
    """Splits at commas that are outside of brackets and quotes."""
    tokens, start, depth, quote = [], 0, 0, ""
    for i, character in enumerate(argument):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            tokens.append(argument[start:i].strip())
            start = i + 1
    if quote or depth:
        raise UserError(f"a bracket or quote in {argument!r} is not closed")
    tokens.append(argument[start:].strip())
    if tokens[-1] == "":  # empty argument, trailing comma
        tokens.pop()
    return tokens


def _locate(config: ConfigDict, field: str) -> tuple[ConfigDict, str]:
    """Finds the group and the key of a dotted field."""
    group, *rest = config, *field.split(".")
    for i, key in enumerate(rest):
        if not isinstance(group, ConfigDict) or key not in group:
            raise UserError(
                f"unknown config field {field!r}; {nearest_field(config, field)}"
            )
        if i == len(rest) - 1:
            return group, key
        group = group[key]
    raise AssertionError("str.split returns at least one part")


def _mark(config: ConfigDict, field: str, value: Any) -> None:
    """Appends ``+ field=value`` to the protocol's name, or replaces it there."""
    if "protocol" not in config:
        return
    parts = config.protocol.split(" + ")
    kept = [part for part in parts if part.partition("=")[0] != field]
    shown = str(value).replace(", ", ",")
    config.protocol = " + ".join([*kept, f"{field}={shown}"])


def _expected(like: Any) -> str:
    return _EXPECTED.get(type(like), "a value")


def _read_bool(text: str, like: bool) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ValueError(text)
    return values[text.lower()]


def _read_int(text: str) -> int:
    # Digits of other scripts are integers for Python.
    if not text.isascii() or len(text) > _MOST_DIGITS:
        raise ValueError(text)
    return int(text)


def _read_str(text: str, like: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _read_tuple(text: str, like: tuple) -> tuple:
    values = ast.literal_eval(text)
    values = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    kind = type(like[0]) if like else None
    if kind is float:
        values = tuple(float(v) if type(v) is int else v for v in values)
    if kind is not None and any(type(value) is not kind for value in values):
        raise ValueError(text)
    return values


_READERS: dict[type, Callable[[str, Any], Any]] = {
    bool: _read_bool,
    int: lambda text, like: _read_int(text),
    float: lambda text, like: float(text),
    str: _read_str,
    tuple: _read_tuple,
}

"""What a verb says about its flags: the help, and what is wrong with one."""

import contextlib
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

from nwm_jax.config import base, grammar, presets
from nwm_jax.errors import UserError, nearest
from nwm_jax.training import registry


def takes_config(flag_values: flags.FlagValues) -> bool:
    """Returns whether ``--config`` is the experiment, with its overrides."""
    return (
        "config" in flag_values and flag_values["config"].parser.flag_type() == "config"
    )


def flag_message(error: flags.Error, flag_values: flags.FlagValues) -> str:
    """Returns in one line what absl found wrong with a flag."""
    if isinstance(error.__context__, UserError):  # from the config's parser
        return str(error.__context__)
    if isinstance(error, flags.UnrecognizedFlagError):
        return _unknown_flag(error.flagname, flag_values)
    text = str(error)
    missing = re.search(r"Flag (--\S+) must have a value other than None", text)
    if missing:
        return f"{missing[1]} is required"
    text = re.sub(r"^flag ", "", text).replace("Missing value for", "missing value for")
    text = re.sub(
        r"invalid literal for int\(\) with base 10: (.*)", _not("integer"), text
    )
    return re.sub(r"could not convert string to float: (.*)", _not("number"), text)


def _not(kind: str) -> str:
    article = "an" if kind[0] in "aeiou" else "a"
    return rf"\1 is not {article} {kind}"


def _unknown_flag(name: str, flag_values: flags.FlagValues) -> str:
    config = flag_values["config"].value if takes_config(flag_values) else None
    fields = grammar.flatten(config) if config is not None else {}
    same = [field for field in fields if name in (field, field.rpartition(".")[2])]
    if same:
        return f"unknown flag --{name}; did you mean '--config.{same[0]}'?"
    own = [flag for flag in sorted(flag_values) if not _is_from_absl(flag, flag_values)]
    prefixed = [f"--{flag}" for flag in own]
    return f"unknown flag --{name}; {nearest(f'--{name}', prefixed)}"


def _is_from_absl(flag: str, flag_values: flags.FlagValues) -> bool:
    module = flag_values.find_module_defining_flag(flag) or ""
    return module.startswith("absl.")


def help_text(
    main: Callable, flag_values: flags.FlagValues, argv: Sequence[str]
) -> str:
    """Returns the verb's docstring, its flags and the fields of its config."""
    module = sys.modules[main.__module__]
    spec = getattr(module, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else ""
    program = f"python -m {name}" if spec else pathlib.Path(argv[0]).name
    lines = [f"usage: {program} [--flag=value ...]", "", (module.__doc__ or "").strip()]
    own = [name for name in sorted(flag_values) if not _is_from_absl(name, flag_values)]
    lines += ["", "flags:"] if own else []
    for name in own:
        flag = flag_values[name]
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{name}")
        lines += textwrap.wrap(
            f"{flag.help}{default}",
            84,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
        )
    if takes_config(flag_values):
        lines += ["", *_config_help(argv)]
    return "\n".join(lines)


def _config_help(argv: Sequence[str]) -> list[str]:
    spec = "pendulum_nwm2d"
    for argument in argv:
        match = re.match(r"--?config=(.*)", argument, re.DOTALL)
        spec = match[1] if match else spec
    lines = textwrap.wrap(
        f"configs in the package: {presets.summary()}", 88, subsequent_indent="  "
    )
    with contextlib.suppress(UserError):
        config = presets.load(spec)
        experiment = registry.find(config.get("task"))
        known = base.FIELDS | (experiment.fields() if experiment else {})
        if experiment and experiment.presets:
            lines += ["", f"presets of {spec}: {', '.join(experiment.presets)}"]
        lines += ["", f"fields of {spec}, each set by --config.field=value:"]
        for name, value in grammar.flatten(config).items():
            meaning = f"  ({known[name].meaning})" if name in known else ""
            lines.append(f"  {name} = {value!r}{meaning}")
    return lines

"""What ``--help`` prints: a verb's docstring, its flags and the fields of its config."""

import contextlib
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

from nwm_jax.config import base, grammar, presets
from nwm_jax.errors import UserError
from nwm_jax.shell import flag_help
from nwm_jax.shell.config_flags import takes_config


def text(main: Callable, flag_values: flags.FlagValues, argv: Sequence[str]) -> str:
    """Returns the help of the verb whose `main` is given."""
    module = sys.modules[main.__module__]
    spec = getattr(module, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec else ""
    program = f"python -m {name}" if spec else pathlib.Path(argv[0]).name
    lines = [f"usage: {program} [--flag=value ...]", "", (module.__doc__ or "").strip()]
    own = [name for name in sorted(flag_values) if not is_from_absl(name, flag_values)]
    lines += ["", "flags:"] if own else []
    lines += flag_help.lines(flag_values[name] for name in own)
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
        known = presets.definition(config)
        if known:
            lines += ["", f"presets of {spec}: {', '.join(known.presets())}"]
        lines += ["", f"fields of {spec}, each set by --config.field=value:"]
        fields = (known.plain if known else base.Config()).meanings()
        for name, value in grammar.flatten(config).items():
            meaning = f"  ({fields[name].meaning})" if name in fields else ""
            lines.append(f"  {name} = {value!r}{meaning}")
    return lines


def is_from_absl(flag: str, flag_values: flags.FlagValues) -> bool:
    """Returns whether a flag is one of absl's own."""
    module = flag_values.find_module_defining_flag(flag) or ""
    return module.startswith("absl.")

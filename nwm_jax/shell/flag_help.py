"""How ``--help`` prints flags; imports no JAX, so that launch/sweep.py can use it."""

import textwrap
from collections.abc import Iterable

from absl import flags


def lines(shown: Iterable[flags.Flag]) -> list[str]:
    """Returns lines with the name, the meaning and the default of every flag."""
    text = []
    for flag in shown:
        default = flag.default
        if isinstance(default, list):
            default = ",".join(default)
        note = "" if default in (None, "") else f" (default: {default})"
        text.append(f"  --{flag.name}")
        text += textwrap.wrap(
            f"{flag.help}{note}",
            84,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
        )
    return text

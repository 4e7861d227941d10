"""Measures the speed of this machine: python -m nwm_jax.benchmark COMMAND [--flags].

Commands:
  data    simulating and drawing trajectories of the suite
  train   a training step of a config
  waves   the analysis of waves in a long recording

COMMAND --help lists the flags of a command.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

import importlib
import sys
from collections.abc import Sequence

from absl import flags

from nwm_jax.errors import UserError, unknown
from nwm_jax.shell import cli

COMMANDS = ("data", "train", "waves")


def main(argv: list[str]) -> None:
    """Explains what is missing; a command that there is never gets here."""
    if len(argv) < 2:
        raise UserError(
            f"name what to measure: python -m nwm_jax.benchmark {' | '.join(COMMANDS)}"
        )
    raise unknown("command", argv[1], COMMANDS)


def run(argv: Sequence[str]) -> None:
    """Runs the command that the arguments name, and exits as `cli.run` does.

    Args:
      argv: the program's name and its arguments.
    """
    words = [argument for argument in argv[1:] if not argument.startswith("-")]
    if words and words[0] in COMMANDS:
        command = importlib.import_module(f"nwm_jax.shell.benchmark_{words[0]}")
        rest = list(argv)
        rest.remove(words[0])
        cli.run(command.main, command.FLAGS, argv=rest)
    else:
        cli.run(main, flags.FlagValues(), positional=True, argv=argv)


if __name__ == "__main__":
    run(sys.argv)

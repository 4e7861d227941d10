"""Runs a verb in this process."""

import types

import pytest

from nwm_jax.shell import cli


def run(verb: types.ModuleType, *arguments: str) -> int | str | None:
    """Runs `nwm_jax.<verb>` with its flags and returns its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.run(verb.main, verb.FLAGS, argv=[verb.__name__, *arguments])
    verb.FLAGS.unparse_flags()
    return end.value.code

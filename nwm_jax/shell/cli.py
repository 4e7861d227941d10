"""The shell around every verb: flags, config overrides, one-line errors.

    FLAGS = flags.FlagValues()  # its own, so that verbs can be imported side by side
    CONFIG = cli.config_flag(FLAGS)
    WORKDIR = flags.DEFINE_string("workdir", None, "...", required=True,
                                  flag_values=FLAGS)

    def main(argv: list[str]) -> None: ...

    if __name__ == "__main__":
        cli.run(main, FLAGS)

Whatever the user can mend ends with one line ``error: ...`` on stderr and exit code
2; bugs keep their traceback.
"""

import errno
import functools
import itertools
import math
import os
import pathlib
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence

import jax
from absl import flags

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax.config import grammar
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError, nearest, reason, shorten
from nwm_jax.shell import flag_files, usage
from nwm_jax.shell.config_flags import (
    config_flag,
    define,
    definitions_flag,
    take_overrides,
    takes_config,
)
from nwm_jax.shell.usage import is_from_absl
from nwm_jax.training import mesh, peers, signals

__all__ = ["config_flag", "define", "definitions_flag", "parse", "run"]

# Errors of the machine, not of the program: no right to write, disk full, ...
_MACHINE_ERRORS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
_HELP = ("-h", "-help", "--help", "--helpfull", "--helpshort")


def run(
    main: Callable[[list[str]], int | None],
    flag_values: flags.FlagValues = flags.FLAGS,
    *,
    positional: bool = False,
    argv: Sequence[str] | None = None,
) -> None:
    """Parses the command line, calls `main` and exits.

    Exit codes: 0 or what `main` returns; 2 after a mistake of the user (`UserError`
    from anywhere, flags, config, no right to write, disk full), printed in one line;
    130 after Ctrl-C, 143 after SIGTERM and SIGUSR1, or what NWM_JAX_PREEMPTED_EXIT says
    instead; 1 with a traceback after anything else. All processes of a run end with
    the same code.

    Args:
      main: called with the program's name and what is not a flag.
      flag_values: where the verb's flags are defined.
      positional: whether arguments that are not flags are welcome.
      argv: the command line; `sys.argv` by default.

    Raises:
      SystemExit: always, unless `main` raises what is no mistake of the user.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in _HELP for argument in argv[1:]):
        print(usage.text(main, flag_values, argv))
        raise SystemExit(0)
    try:
        _check_exit_variable()
        rest = parse(argv, flag_values)
        if rest[1:] and not positional:
            raise UserError(
                f"unexpected argument {rest[1]!r}; flags are written --name=value"
            )
        _mark_global_flags_as_parsed()
        enable_compilation_cache()
        code = main(rest)
        peers.finish()
    except signals.Ended as ended:
        peers.end(ended)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:
        if number := signals.ending():
            # Raised in a call of C++, `Ended` arrives as something else.
            peers.end(signals.Ended(number))
        line = _line(error, flag_values)
        if line is None:
            if not peers.several():
                raise
            first = (str(error).strip().splitlines() or [""])[0][:200]
            show = functools.partial(traceback.print_exception, error)
            peers.fail(f"{type(error).__name__}: {first}", 1, show)
        else:
            _fail(line, 2)
    raise SystemExit(code)


def _check_exit_variable() -> None:
    code = os.environ.get(signals.EXIT_VARIABLE, "")
    if code and not signals.is_exit_code(code):
        raise UserError(
            f"{signals.EXIT_VARIABLE}={code!r} is not an exit code: take 0 to 255"
        )


def _line(error: Exception, flag_values: flags.FlagValues) -> str | None:
    """Returns what the user can mend, in one line; None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, flags.Error):
        return _flag_message(error, flag_values)
    if isinstance(error, jax.errors.JaxRuntimeError) and mesh.is_lost_peer(error):
        return str(mesh.lost_peer(error, "to go on"))
    if (
        isinstance(error, MemoryError)
        or (
            isinstance(error, jax.errors.JaxRuntimeError)
            and "RESOURCE_EXHAUSTED" in str(error)
        )
        # NumPy's for what is larger than any memory.
        or (isinstance(error, ValueError) and "array is too big" in str(error))
    ):
        return (
            f"not enough memory ({reason(error)[:150]}): lower batch_size, or the sizes of "
            "the data or the model"
        )
    if isinstance(error, OSError) and (
        error.errno in _MACHINE_ERRORS or error.filename
    ):
        return f"{error.filename or 'writing'}: {error.strerror}"
    return None


def parse(argv: Sequence[str], flag_values: flags.FlagValues) -> list[str]:
    """Parses flags; the config gets its overrides and is checked.

    Args:
      argv: the program's name and its arguments.
      flag_values: where the flags are defined; changed.

    Returns:
      The program's name and the arguments that are not flags.

    Raises:
      UserError: a mistake in the config.
      flags.Error: a mistake in another flag.
    """
    argv = flag_files.expanded(argv)
    overrides: list[tuple[str, str | None]] = []
    if takes_config(flag_values):
        argv, overrides = take_overrides(argv)
    rest = flag_values(argv)
    _refuse_empty(flag_values)
    _check_numbers(argv, flag_values)
    config = flag_values["config"].value if takes_config(flag_values) else None
    if overrides and config is None:
        raise UserError(f"--config.{overrides[0][0]} needs --config=... beside it")
    if config is not None:
        grammar.override_all(config, overrides)
        validate(config)
        if "task" not in config:
            raise UserError("the config has no field task: it is no experiment of ours")
    return rest


def _refuse_empty(flag_values: flags.FlagValues) -> None:
    """Refuses ``--out=``, which is no file, and not that the flag was left out."""
    for name in flag_values:
        flag = flag_values[name]
        if (
            flag.present
            and flag.value == ""
            and isinstance(flag.default, (str, type(None)))
        ):
            raise UserError(f"--{name}= has no value: give one, or leave the flag out")


def _check_numbers(argv: Sequence[str], flag_values: flags.FlagValues) -> None:
    """Refuses inf, NaN and the digits of other scripts, which Python takes as numbers."""
    for argument, following in itertools.pairwise([*argv[1:], ""]):
        name, equals, text = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name not in flag_values:
            continue
        value, text = flag_values[name].value, text if equals else following
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        # An integer may be too large for `math.isfinite`, but is finite.
        finite = isinstance(value, int) or math.isfinite(value)
        if not (text.isascii() and finite):
            raise UserError(f"--{name}={text} must be a finite number in digits 0 to 9")


def enable_compilation_cache() -> pathlib.Path | None:
    """Lets JAX keep its compiled programs in the cache folder between runs.

    JAX_COMPILATION_CACHE_DIR, where set, is left alone. Else the folder is `jax`
    inside of NWM_JAX_CACHE, or of ~/.cache/nwm_jax.

    Returns:
      The folder, or None where JAX's own settings rule or it cannot be written.
    """
    # diffrax checks its arguments by calls of Python, and a program with such calls is
    # never kept. What they would find makes NaN instead, which is reported too.
    os.environ.setdefault("EQX_ON_ERROR", "nan")
    name = "jax_compilation_cache_dir"
    if getattr(jax.config, name):
        return None
    root = os.environ.get("NWM_JAX_CACHE") or "~/.cache/nwm_jax"
    try:
        folder = pathlib.Path(root).expanduser() / "jax"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    jax.config.update(name, str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    return folder


def _flag_message(error: flags.Error, flag_values: flags.FlagValues) -> str:
    """Says in one line what absl found wrong with a flag."""
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
    own = [flag for flag in sorted(flag_values) if not is_from_absl(flag, flag_values)]
    prefixed = [f"--{flag}" for flag in own]
    return f"unknown flag --{name}; {nearest(f'--{name}', prefixed)}"


def _mark_global_flags_as_parsed() -> None:
    """Libraries read absl's global flags even where a verb defines its own."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _fail(message: str, code: int) -> None:
    """Writes one line to stderr and exits."""
    line = shorten(message)

    def show() -> None:
        sys.stdout.flush()
        print(line if code == 130 else f"error: {line}", file=sys.stderr, flush=True)

    peers.fail(line, code, show)
    raise SystemExit(code)

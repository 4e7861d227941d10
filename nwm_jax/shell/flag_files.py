"""Flag files, which ``--flagfile=path`` names: flags of a command line, one on a line.

absl reads them too, but waits for a pipe to speak, never ends with a device, and what it
reads no other check of the command line sees.
"""

from collections.abc import Sequence

from nwm_jax import files
from nwm_jax.errors import UserError

_FLAGS = ("-flagfile", "--flagfile")
_MOST = 1 << 20  # bytes


def expanded(argv: Sequence[str]) -> list[str]:
    """Returns a command line with the lines of its flag files in place of them.

    Blank lines and those that begin with # or // are left out. A flag file may name
    others. What follows a ``--`` is no flag.

    Args:
      argv: the program's name and its arguments.

    Raises:
      UserError: a file that is missing, no text, or that names itself.
    """
    return [*argv[:1], *_lines(list(argv[1:]), ())]


def _lines(arguments: list[str], inside: tuple[str, ...]) -> list[str]:
    result: list[str] = []
    while arguments:
        argument = arguments.pop(0)
        if argument == "--":
            return [*result, argument, *arguments]
        name, equals, path = argument.partition("=")
        if name not in _FLAGS:
            result.append(argument)
            continue
        if not equals:
            if not arguments:
                raise UserError("--flagfile needs a path: --flagfile=path")
            path = arguments.pop(0)
        if path in inside:
            raise UserError(f"--flagfile={path} names itself")
        result += _lines(_read(path), (*inside, path))
    return result


def _read(path: str) -> list[str]:
    try:
        text = files.read_bytes(path, _MOST).decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"--flagfile={path} is not a text of flags")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "//"))]

"""The one exception that means: the user can mend this."""

import difflib
import re
from collections.abc import Iterable

#: Characters of the longest message.
LONGEST = 300
_HEAD = 190  # of a message that is too long; the rest of it is its end, the remedy


class UserError(ValueError):
    """A mistake in a flag, config, file or shape: one line with its remedy.

    The verbs (``python -m nwm_jax.train`` ...) print the line alone and end with exit
    code 2; in a Python session it is an ordinary ``ValueError``.

    Args:
      message: what is wrong and what to do; of more than `LONGEST` characters the
        beginning and the end are kept.
    """

    def __init__(self, message: str):
        super().__init__(shorten(message))


def shorten(message: str) -> str:
    """Returns a message as one printable line of at most `LONGEST` characters."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    if len(line) <= LONGEST:
        return line
    return f"{line[:_HEAD]} ... {line[_HEAD + 5 - LONGEST :]}"


def reason(error: Exception) -> str:
    """Returns what went wrong in the words of an exception, never as its repr."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):  # its message is the repr of the key
        return f"there is no {error.args[0] if error.args else 'key'}"
    words = re.sub(r"<[^<>]* object at 0x[0-9a-f]+>", "an expression", str(error))
    return shorten(words) or type(error).__name__


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """Makes the error for a name that is not known.

    Args:
      kind: what it should have been the name of, such as "dataset".
      name: the name as it was given.
      known: the names that there are.

    Returns:
      The error to raise: it names the nearest of `known`, or all of them.
    """
    return UserError(f"unknown {kind} {name!r}; {nearest(str(name), known)}")


def nearest(name: str, known: Iterable[str], all_of_them: str = "") -> str:
    """Returns "did you mean 'x'?" for a close name, else "choose from ...".

    Args:
      name: the name as it was given.
      known: the names that there are.
      all_of_them: what to choose from, where a list of `known` would be too long.
    """
    by_lower = {option.lower(): option for option in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return "choose from " + (all_of_them or ", ".join(by_lower.values()))

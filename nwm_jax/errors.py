"""The one exception that means: the user can mend this."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in a flag, config, file or shape, told in one line with its remedy.

    The verbs (``python -m nwm_jax.train`` ...) print the line alone and end with exit
    code 2; in a Python session it is an ordinary ``ValueError``.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Makes the error for a name that is not known.

    Args:
      kind: what it should have been the name of, such as "dataset".
      name: the name as it was given.
      known: the names that there are.

    Returns:
      The error to raise: it names the nearest of `known`, and all of them.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(
        f"there is no {kind} {name!r}: {hint}({kind}s: {', '.join(known)})"
    )

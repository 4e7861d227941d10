"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """A mistake in a flag, config, file or shape, told in one line with its remedy.

    The verbs (``python -m nwm_jax.train`` ...) print the line alone and end with exit
    code 2; in a Python session it is an ordinary ``ValueError``.
    """

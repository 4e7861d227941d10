"""What tests of the compiled convolutions share."""

import pytest

from nwm_jax import native
from nwm_jax.native import build


def _why_not():
    """The reason is asked of the library's file: importing a test starts no JAX."""
    _, what = native.examine(build.LIBRARY)
    return what


needs_native = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


def each_instruction_set():
    """Computes with each of those that this CPU has, or once without the library."""
    if not native.available():
        yield "none"
        return
    try:
        for name in native.instruction_sets():
            native.use(name)
            yield name
    finally:
        native.use("")

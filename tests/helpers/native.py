"""What tests of the compiled convolutions share."""

import pytest

from nwm_jax import native


def _why_not():
    """The reason is asked of the library's file: importing a test starts no JAX."""
    _, what = native.examine(native.build.LIBRARY)
    return what


needs_native = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


@pytest.fixture(params=native.INSTRUCTION_SETS)
def instruction_set(request):
    """Computes with each of the instruction sets that this machine has."""
    if not native.available():
        pytest.skip(native.problem())
    if request.param not in native.instruction_sets():
        pytest.skip(f"this CPU does not have {request.param}")
    native.use(request.param)
    yield request.param
    native.use("")

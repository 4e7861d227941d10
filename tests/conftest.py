"""Settings that every test shares."""

import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

import pytest
from absl import flags

# Four fake CPU devices for every test, and compiled programs kept between runs: both
# must be set before JAX starts, and child processes inherit them.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(pathlib.Path(tempfile.gettempdir()) / "nwm_jax_test_compilations"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")


@pytest.fixture(autouse=True)
def flags_as_defined() -> Iterator[None]:
    """No verb sees the flags that another test has given it."""
    yield
    for name, module in list(sys.modules.items()):
        values = getattr(module, "FLAGS", None)
        if name.startswith("nwm_jax.") and isinstance(values, flags.FlagValues):
            values.unparse_flags()
            for flag in values:
                values[flag].unparse()

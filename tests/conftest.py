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

# Folders whose tests spend their time in compiling programs that run once.
_QUICK_TO_COMPILE = ("config", "experiments", "interop", "models", "modules", "runs")


@pytest.fixture(scope="module", autouse=True)
def compile_mode(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves most of XLA's optimisations out where compiling takes longest."""
    # What imports JAX comes after the settings above.
    import nwm_jax.experiments  # noqa: F401 (registers them)
    from tests.helpers import compile_modes

    folder = request.path.relative_to(pathlib.Path(__file__).parent).parts[0]
    with compile_modes.quick(folder in _QUICK_TO_COMPILE):
        yield


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


@pytest.fixture(autouse=True, scope="module")
def registered_as_defined() -> Iterator[None]:
    """No file of tests sees the models and datasets that another has registered."""
    from nwm_jax.experiments.forecasting import budgets, configs, datasets
    from nwm_jax.models import forecasting
    from nwm_jax.training import registry

    tables = (
        configs.MODELS,
        datasets.OWN,
        forecasting.BUILDERS,
        budgets.BY_MODEL,
        registry._EXPERIMENTS,
    )
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)

"""Settings that every test shares."""

import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata

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


def pytest_configure(config: pytest.Config) -> None:
    """Compiles the fast tests' programs, which run once, in a third of the time."""
    if "not slow" not in config.option.markexpr:
        return
    if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "0":
        return
    if "jax" in sys.modules:  # a conftest of a named folder was faster than this one
        sys.modules["jax"].config.update("jax_disable_most_optimizations", True)
    # Half of what is left goes to fusions, which later versions of XLA cannot leave out.
    flag, given = "--xla_cpu_use_fusion_emitters=false", os.environ.get("XLA_FLAGS", "")
    if metadata.version("jaxlib").startswith("0.10.") and flag not in given:
        os.environ["XLA_FLAGS"] = f"{given} {flag}".strip()


@pytest.fixture(autouse=True)
def flags_as_defined() -> Iterator[None]:
    """No verb sees the flags that another test has given it."""
    yield
    for name in [name for name in sys.modules if name.startswith("nwm_jax.")]:
        values = getattr(sys.modules[name], "FLAGS", None)
        if isinstance(values, flags.FlagValues):
            values.unparse_flags()
            for flag in values:
                values[flag].unparse()


@pytest.fixture(autouse=True, scope="module")
def registered_as_defined() -> Iterator[None]:
    """No file of tests sees the models and datasets that another has registered."""
    import nwm_jax.experiments  # noqa: F401 (registers its own)
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


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """An uninterrupted run of the toy task: (result, workdir)."""
    from nwm_jax.training import loop
    from tests.helpers import toy_task

    workdir = tmp_path_factory.mktemp("straight")
    return loop.train(toy_task.get_config(), toy_task.Toy(), workdir), workdir


@pytest.fixture
def same_bits():
    """Asserts that two trees are equal to the last bit."""
    import jax
    import numpy as np

    def check(one, other):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))

    return check

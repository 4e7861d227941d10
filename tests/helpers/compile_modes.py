"""How programs are compiled: most tests compile a program that runs once."""

import contextlib
from collections.abc import Iterator

import jax
import pytest


@contextlib.contextmanager
def quick(enabled: bool = True) -> Iterator[None]:
    """Leaves most of XLA's optimisations out: half as long to compile."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", enabled or before)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module", autouse=True)
def quick_to_compile() -> Iterator[None]:
    """`quick` for the test file that imports this fixture."""
    with quick():
        yield

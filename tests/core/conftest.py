"""Settings of the tests of equations."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def no_rank_promotion() -> Iterator[None]:
    """Arrays meet others of their own rank: an axis that is missing is no broadcast."""
    with jax.numpy_rank_promotion("raise"):
        yield

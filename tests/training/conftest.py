"""What the tests of training share."""

import jax
import numpy as np
import pytest

from nwm_jax.training import loop
from tests.helpers import toy_task


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """An uninterrupted run of the toy task: (result, workdir)."""
    workdir = tmp_path_factory.mktemp("straight")
    return loop.train(toy_task.get_config(), toy_task.Toy(), workdir), workdir


@pytest.fixture
def same_bits():
    """Asserts that two trees are equal to the last bit."""

    def check(one, other):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))

    return check

"""Neighbours of a cell: against loops, and the symmetries of the lattices."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nwm_jax.core
from nwm_jax import errors
from nwm_jax.core import coupling
from tests.helpers import numerics
from tests.helpers.oscillator_fields import couple_by_loops

couple = jax.jit(coupling.couple, static_argnums=0)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("channels", [(1, 1), (2, 3)])
@pytest.mark.parametrize("topology", ["ring", "torus"])
def test_lattices_match_loops(
    topology: str, channels: tuple[int, int], size: int
) -> None:
    field = numerics.fill((2, 5, 6, channels[0]), 0)
    rank = {"ring": 1, "torus": 2}[topology]
    weights = numerics.fill((size,) * rank + channels, 1)
    np.testing.assert_allclose(
        couple(topology, field, weights),
        couple_by_loops(topology, field, weights),
        atol=1e-6,
    )


# Rows whose cells are taken one by one, some together, and all together.
@pytest.mark.parametrize(
    ("cells", "channels", "together"), [(7, 16, 1), (20, 8, 4), (6, 2, 6)]
)
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("topology", ["ring", "torus"])
def test_blocks_of_cells_match_loops(
    topology: str, size: int, cells: int, channels: int, together: int
) -> None:
    field = numerics.fill((2, 5, cells, channels), 0)
    rank = {"ring": 1, "torus": 2}[topology]
    weights = numerics.fill((size,) * rank + (channels, 3), 1)
    if topology == "torus":
        assert coupling.block(field.shape, rank) == together
    expected = couple_by_loops(topology, field, weights)
    for implementation in coupling.IMPLEMENTATIONS:
        result = coupling.couple(topology, field, weights, implementation)
        np.testing.assert_allclose(result, expected, atol=2e-5)


def test_dense_matches_loops() -> None:
    field, weights = numerics.fill((2, 3, 5), 0), numerics.fill((5, 4), 1)
    np.testing.assert_allclose(
        couple("dense", field, weights),
        couple_by_loops("dense", field, weights),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("topology", "shape"), [("ring", (3, 2, 1)), ("torus", (3, 3, 2, 1))]
)
def test_any_leading_axes(topology: str, shape: tuple[int, ...]) -> None:
    field, weights = numerics.fill((2, 3, 4, 5, 2), 0), numerics.fill(shape, 1)
    whole = couple(topology, field, weights)
    assert whole.shape == (2, 3, 4, 5, 1)
    np.testing.assert_allclose(
        whole[1, 2], couple(topology, field[1, 2], weights), atol=1e-6
    )
    mapped = jax.vmap(lambda f: coupling.couple(topology, f, weights))(field)
    np.testing.assert_allclose(whole, mapped, atol=1e-6)


def test_middle_tap_is_the_cell_itself() -> None:
    field = numerics.fill((1, 4, 5, 1), 0)
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[1, 1] = 1.0
    np.testing.assert_array_equal(couple("torus", field, kernel), field)
    kernel = np.zeros((3, 1, 1), np.float32)
    kernel[2] = 1.0  # The last tap looks at the next cell of the ring.
    np.testing.assert_array_equal(
        couple("ring", field, kernel), np.roll(field, -1, axis=2)
    )


@pytest.mark.parametrize("topology", ["ring", "torus"])
def test_gradients(topology: str) -> None:
    with jax.enable_x64(True):
        rank = {"ring": 1, "torus": 2}[topology]
        tree = numerics.to_float64(
            (numerics.fill((2, 4, 5, 2), 0), numerics.fill((3,) * rank + (2, 3), 1))
        )
        numerics.check_gradients(
            lambda t: jnp.sum(jnp.sin(coupling.couple(topology, *t))), tree
        )


def test_errors() -> None:
    field = np.zeros((1, 4, 4, 1), np.float32)
    with pytest.raises(errors.UserError, match=r"dense.*ring.*torus"):
        coupling.couple("sphere", field, field)
    with pytest.raises(errors.UserError, match="odd"):
        coupling.couple("torus", field, np.zeros((2, 2, 1, 1), np.float32))


def test_core_imports_only_jax_and_numpy() -> None:
    standard = {"collections", "dataclasses", "functools", "math", "operator", "typing"}
    for path in pathlib.Path(nwm_jax.core.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            else:
                continue
            for name in names:
                assert (
                    name.startswith("nwm_jax.core")
                    or name == "nwm_jax.errors"
                    or name.split(".")[0] in standard | {"jax", "numpy"}
                ), f"{path.name} imports {name}"

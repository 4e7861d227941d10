"""The cell of topographic maps, against the reference program's numbers in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.errors import UserError
from nwm_jax.models.topography import topographic_cell
from tests.helpers.filled_models import sheet_cell


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def as_field(values, shape):
    return jnp.asarray(values, jnp.float64).reshape(1, *shape, 1)


def test_a_sheet_of_the_reference_program():
    n = np.arange(16)
    cell = sheet_cell(topographic_cell("nwm2d", (4, 4)))
    drive = cell.drive(as_field(np.sin(1.1 * n + 0.2), (4, 4)))
    state = OscillatorState(
        as_field(np.sin(0.5 * n), (4, 4)), as_field(0.5 * np.cos(0.3 * n), (4, 4))
    )
    state = cell.step(state, drive)
    x, v = (np.asarray(part).ravel() for part in state)
    np.testing.assert_allclose(
        x[:4], [0.05839601, 0.52407295, 0.87770888, 1.02459469], atol=1e-7
    )
    np.testing.assert_allclose(
        v[:4], [0.46884336, 0.35846009, 0.29094276, 0.21757508], atol=1e-7
    )
    assert x[15] == pytest.approx(0.90816263, abs=1e-7)
    for _ in range(9):
        state = cell.step(state, drive)
    x, v = (np.asarray(part).ravel() for part in state)
    np.testing.assert_allclose(
        x[:4], [0.29459885, 0.29012096, 0.60457980, 0.83406719], atol=1e-7
    )
    np.testing.assert_allclose(
        v[:4], [-0.03473895, -0.58871527, -0.57392982, -0.40440661], atol=1e-7
    )
    np.testing.assert_allclose(
        [x.sum(), v.sum()], [-0.09268133, -1.24857517], atol=1e-7
    )


def test_rings_of_the_reference_program():
    n = np.arange(10)
    cell = topographic_cell("nwm1d", (2, 5), state_norm=True, param_dtype=np.float64)
    for name, value in [("coupling_x", 0.7), ("coupling_v", -0.3), ("forcing", 1.2)]:
        setattr(cell, name, nnx.Param(jnp.float64(value)))
    cell.bias = nnx.Param(0.1 * jnp.arange(5.0).reshape(5, 1))
    cell.dt = nnx.Param(jnp.float64(-1.95))
    state = OscillatorState(
        as_field(np.sin(0.5 * n), (2, 5)), as_field(0.5 * np.cos(0.3 * n), (2, 5))
    )
    x, v = cell.step(state, cell.drive(as_field(np.sin(1.1 * n + 0.2), (2, 5))))
    expected_x = [
        *(-0.18446485, 0.49696145, 0.99171485, 1.18237832, 1.05134415),
        *(0.58624741, -0.08825383, -0.82689267, -1.44996730, -1.75906753),
    ]
    expected_v = [
        *(0.57768576, 0.49781404, 0.32777569, 0.12975616, 0.11305582),
        *(0.03590827, -0.02313473, -0.15955266, -0.34626675, -0.28389090),
    ]
    np.testing.assert_allclose(np.ravel(x), expected_x, atol=1e-7)
    np.testing.assert_allclose(np.ravel(v), expected_v, atol=1e-7)


def test_activity_goes_towards_lower_indices():
    cell = topographic_cell("nwm1d", (1, 6), param_dtype=np.float64)
    x = as_field(np.eye(6)[3], (1, 6))
    x, v = cell.step(OscillatorState(x, 0 * x), cell.drive(0 * x))
    expected = [0, 0, 0.09485911, -0.12455336, 0, 0]
    np.testing.assert_allclose(np.ravel(v), expected, atol=1e-7)
    expected = [0, 0, 0.01181502, 0.98448646, 0, 0]
    np.testing.assert_allclose(np.ravel(x), expected, atol=1e-7)


def test_taps_are_cross_correlation():
    cell = topographic_cell("nwm2d", (5, 5))
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 1].set(1.0)
    cell.forcing = nnx.Param(kernel)
    impulse = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2].set(1.0)
    moved = np.asarray(cell.drive(impulse))[0, ..., 0]
    assert np.argwhere(moved).tolist() == [[3, 2]]


def test_first_weights():
    cell = topographic_cell("nwm2d", (36, 36))
    for name in ("coupling_x", "coupling_v", "forcing"):
        np.testing.assert_allclose(getattr(cell, name)[...], 1 / 1296)
    assert float(cell.dt[...]) == pytest.approx(-1.95)
    assert float(cell.gamma[...]) == 1.0 and float(cell.alpha[...]) == 0.5


def test_refuses():
    with pytest.raises(UserError, match="unknown kind of cell 'nwm3d'"):
        topographic_cell("nwm3d", (4, 4))
    with pytest.raises(UserError, match="hear one neighbour"):
        topographic_cell("nwm1d", (4, 5), kernel_size=5)
    with pytest.raises(UserError, match="kernel_size must be odd and at most 4"):
        topographic_cell("nwm2d", (4, 4), kernel_size=5)

"""The eighth-order integrator: order, accuracy, independence of JAX's settings."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nwm_jax.data import simulate, systems

PARAMS = {
    "m": np.array([0.5, 1.5, 1.0]),
    "g": np.array([4.0, 3.0, 3.5]),
    "l": np.array([0.5, 1.0, 0.75]),
}
START = np.array([[1.5, 0.25], [-0.5, 1.75], [2.0, -1.0]])


def test_tableau_is_consistent():
    nodes = np.array([sum(row.values()) for row in simulate.STAGES])
    s = np.sqrt(21)
    up, down = (7 + s) / 14, (7 - s) / 14
    expected = [0, 0.5, 0.5, up, up, 0.5, down, down, 0.5, up, 1]
    np.testing.assert_allclose(nodes, expected, atol=1e-14)
    for power in range(8):  # the weights are a quadrature of order 8
        got = sum(w * nodes[j] ** power for j, w in simulate.WEIGHTS.items())
        assert got == pytest.approx(1 / (power + 1), abs=1e-15)


def test_order_is_eight():
    spring = systems.get("mass_spring")
    params = {"k": np.array([2.0]), "m": np.array([0.5])}
    exact = spring.simulate(params, [[0.7]], [[-0.4]], dt=1.0, num_steps=3)
    counts = np.array([2, 3, 4, 6])
    errors = []
    for substeps in counts:
        got = simulate.integrate(
            spring._flat_field,
            params,
            exact[:, 0],
            dt=1.0,
            num_steps=3,
            substeps=int(substeps),
            friction=0.0,
        )
        errors.append(np.abs(got - exact).max())
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert 7.7 < slope < 8.5
    assert errors[-1] > 1e-13  # the slope was not measured on rounding errors


@pytest.mark.parametrize("friction", [0.0, 0.05])
def test_pendulum_agrees_with_an_adaptive_solver(friction):
    pendulum = systems.get("pendulum")
    got = pendulum.simulate(
        PARAMS, START[:, :1], START[:, 1:], dt=0.05, num_steps=60, friction=friction
    )
    assert got.shape == (3, 61, 2) and got.dtype == np.float64
    for i in range(3):
        one = {name: value[i : i + 1] for name, value in PARAMS.items()}

        def field(_, x, one=one):
            q, p = x[None, :1], x[None, 1:]
            return np.concatenate(pendulum.vector_field(one, q, p, friction), -1)[0]

        solution = solve_ivp(
            field,
            (0, 3),
            START[i],
            method="DOP853",
            t_eval=0.05 * np.arange(61),
            rtol=3e-14,
            atol=1e-14,
        )
        np.testing.assert_allclose(got[i], solution.y.T, atol=2e-10)


def test_results_do_not_depend_on_x64_nor_change_it():
    pendulum = systems.get("pendulum")
    arguments = (PARAMS, START[:, :1], START[:, 1:])
    before = jax.config.jax_enable_x64
    plain = pendulum.simulate(*arguments, dt=0.05, num_steps=20)
    assert jax.config.jax_enable_x64 == before
    with jax.enable_x64(not before):
        other = pendulum.simulate(*arguments, dt=0.05, num_steps=20)
    np.testing.assert_array_equal(plain, other)


def test_long_frames_are_cut_into_short_steps():
    pendulum = systems.get("pendulum")
    arguments = (PARAMS, START[:, :1], START[:, 1:])
    fine = pendulum.simulate(*arguments, dt=0.05, num_steps=40)
    coarse = pendulum.simulate(*arguments, dt=0.5, num_steps=4)
    np.testing.assert_allclose(coarse, fine[:, ::10], atol=1e-11)

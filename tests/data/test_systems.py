"""Energies, equations of motion and trajectories against numbers and against laws.

The golden arrays were computed by the original generator; `x_reference` is the same
problem solved to 1e-13.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.data import suite, systems
from nwm_jax.errors import UserError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "data"
NAMES = ("mass_spring", "pendulum")


@pytest.fixture(params=[(n, v) for n in NAMES for v in ("plain", "colors", "friction")])
def golden(request):
    name, variant = request.param
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        held = {k.split("__")[1]: arrays[k] for k in arrays if k.startswith(variant)}
    return systems.get(name), variant, held, _params(held)


def _params(held):
    return {k[6:]: v for k, v in held.items() if k.startswith("param_")}


def _states(system, n, name):
    return system.sample(jax.random.key(3), n, suite.DATASETS[f"{name}_colors"])


def test_trajectories_equal_golden(golden):
    system, _, g, params = golden
    x = system.simulate(
        params,
        g["q0"],
        g["p0"],
        dt=float(g["dt"]),
        num_steps=int(g["num_steps"]),
        friction=float(g["friction"]),
    )
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, g["x"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(x, g["x_reference"], rtol=0, atol=1e-11)


def test_fields_and_pictures_equal_golden(golden):
    system, _, g, params = golden
    q, p = np.split(g["x"], 2, axis=-1)  # [B, T, D]: any number of axes after B
    field = np.concatenate(system.vector_field(params, q, p), -1)
    np.testing.assert_allclose(field, g["dx_dt"], rtol=0, atol=1e-13)
    field = np.concatenate(system.vector_field(params, q, p, g["friction"]), -1)
    np.testing.assert_allclose(field, g["dx_dt_with_friction"], rtol=0, atol=1e-13)
    np.testing.assert_allclose(
        system.hamiltonian(params, q, p), g["energy"], rtol=0, atol=1e-13
    )
    centres = system.positions(params, q, g["offset"])
    np.testing.assert_allclose(centres, g["particles"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(system.radii(params), g["particles_radius"], atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("friction", [0.0, 0.05])
def test_vector_field_is_the_gradient_of_the_energy(name, friction):
    system = systems.get(name)
    params, q, p = _states(system, 64, name)
    with jax.enable_x64(True):
        gradients = jax.jit(
            jax.grad(lambda q, p: system.hamiltonian(params, q, p).sum(), (0, 1))
        )(q, p)
        dh_dq, dh_dp = map(np.asarray, gradients)
    q_dot, p_dot = system.vector_field(params, q, p, friction)
    np.testing.assert_allclose(q_dot, dh_dp, atol=1e-13)
    np.testing.assert_allclose(p_dot, -dh_dq - friction * dh_dp, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_energy_is_kept_for_512_frames(name):
    system = systems.get(name)
    params, q, p = _states(system, 128, name)
    x = system.simulate(params, q, p, dt=0.05, num_steps=511)
    energy = system.hamiltonian(params, *np.split(x, 2, axis=-1))
    drift = np.abs(energy / energy[:, :1] - 1).max()
    assert drift < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_friction_takes_the_energy_it_should(name):
    system, friction, dt = systems.get(name), 0.05, 0.01
    params, q, p = _states(system, 16, name)
    x = system.simulate(params, q, p, dt=dt, num_steps=400, friction=friction)
    q, p = np.split(x, 2, axis=-1)
    energy = system.hamiltonian(params, q, p)
    velocity, _ = system.vector_field(params, q, p)
    power = -friction * (velocity**2).sum(-1)
    # Simpson's rule for the work between frames 0, 2, 4, ...
    work = dt / 3 * (power[:, :-2:2] + 4 * power[:, 1:-1:2] + power[:, 2::2])
    lost = energy[:, ::2] - energy[:, :1]
    np.testing.assert_allclose(lost[:, 1:], work.cumsum(1), atol=1e-8)
    assert (np.diff(energy) < 1e-15).all()


@pytest.mark.parametrize("name", NAMES)
def test_time_reversal(name):
    system = systems.get(name)
    params, q, p = _states(system, 32, name)
    x = system.simulate(params, q, p, dt=0.05, num_steps=100)
    last_q, last_p = np.split(x[:, -1], 2, axis=-1)
    back = system.simulate(params, last_q, last_p, dt=-0.05, num_steps=100)
    np.testing.assert_allclose(back[:, ::-1], x, atol=1e-9)
    turned = system.simulate(params, last_q, -last_p, dt=0.05, num_steps=100)
    turned = turned[:, ::-1] * np.array([1, -1])
    np.testing.assert_allclose(turned, x, atol=1e-9)


def test_damped_spring_is_the_damped_oscillator():
    spring, friction = systems.get("mass_spring"), 0.05
    params, q, p = _states(spring, 32, "mass_spring")
    x = spring.simulate(params, q, p, dt=0.05, num_steps=200, friction=friction)
    k, m = params["k"][:, None], params["m"][:, None]
    t = 0.05 * np.arange(201)
    decay = friction / (2 * m)
    w = np.sqrt(k / m - decay**2)
    expected = np.exp(-decay * t) * (
        q * np.cos(w * t) + (p / m + decay * q) / w * np.sin(w * t)
    )
    np.testing.assert_allclose(x[..., 0], expected, atol=1e-9)


def test_jax_in_jax_out():
    pendulum = systems.get("pendulum")
    params, q, _ = _states(pendulum, 4, "pendulum")
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, q))
    drawn = jax.jit(pendulum.positions)(*single)
    assert isinstance(drawn, jax.Array) and drawn.shape == (4, 1, 2)
    exact = pendulum.positions(params, q)
    assert isinstance(exact, np.ndarray) and exact.dtype == np.float64
    np.testing.assert_allclose(drawn, exact, atol=1e-6)


def test_unknown_system_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'pendulum'"):
        systems.get("pendulumm")

"""Energies, equations of motion and trajectories against numbers and against laws.

The golden arrays were computed by the original generator; `x_reference` is the same
problem solved to 1e-13.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nwm_jax.data import render, suite, systems
from nwm_jax.data.systems.base import ToySystem
from nwm_jax.errors import UserError

# Of every simulation here, so that a system is compiled once: the solver chooses its
# steps itself, and frames may be as far apart as a test needs.
BATCH, STEPS = 64, 60
GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "data"
NAMES = ("mass_spring", "pendulum")
ALL = (*NAMES, "double_pendulum", "two_body", "three_body")
THREE = suite.Particles(
    name="three",
    system="three_body",
    params=(("m", 0.5, 1.5), ("g", 0.5, 1.5)),
    radius_range=(0.9, 1.2),
    uniform_area=True,
    inner_half_width=2.0,
    num_colors=3,
)


@pytest.fixture(params=[(n, v) for n in NAMES for v in ("plain", "colors", "friction")])
def golden(request):
    name, variant = request.param
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        held = {k.split("__")[1]: arrays[k] for k in arrays if k.startswith(variant)}
    return systems.get(name), variant, held, _params(held)


def _params(held):
    return {k[6:]: v for k, v in held.items() if k.startswith("param_")}


@functools.cache
def _states(name):
    """Params, q and p of trajectories, which no test changes."""
    spec = suite.DATASETS.get(f"{name}_colors", THREE)
    return systems.get(name).sample(jax.random.key(3), BATCH, spec)


def _many(*values):
    """The values over and over, one for each trajectory."""
    return np.resize(np.array(values, float), BATCH)


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


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("friction", [0.0, 0.05])
def test_vector_field_is_the_gradient_of_the_energy(name, friction):
    system = systems.get(name)
    params, q, p = _states(name)
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
    params, q, p = _states(name)
    x = system.simulate(params, q, p, dt=511 * 0.05 / STEPS, num_steps=STEPS)
    energy = system.hamiltonian(params, *np.split(x, 2, axis=-1))
    drift = np.abs(energy / energy[:, :1] - 1).max()
    assert drift < 1e-10


@pytest.mark.parametrize(
    ("name", "dt"),
    [
        ("mass_spring", 0.01),
        ("pendulum", 0.01),
        ("double_pendulum", 0.002),
        ("two_body", 0.005),
    ],
)
def test_friction_takes_the_energy_it_should(name, dt):
    system, friction = systems.get(name), 0.05
    params, q, p = _states(name)
    x = system.simulate(params, q, p, dt=dt, num_steps=STEPS, friction=friction)
    q, p = np.split(x, 2, axis=-1)
    energy = system.hamiltonian(params, q, p)
    velocity, _ = system.vector_field(params, q, p)
    power = -friction * (velocity**2).sum(-1)
    # Simpson's rule for the work between frames 0, 2, 4, ...
    work = dt / 3 * (power[:, :-2:2] + 4 * power[:, 1:-1:2] + power[:, 2::2])
    lost = energy[:, ::2] - energy[:, :1]
    # The double pendulum's power changes quickly: Simpson's rule is less exact.
    exact = 1e-6 if name == "double_pendulum" else 1e-8
    np.testing.assert_allclose(lost[:, 1:], work.cumsum(1), rtol=1e-7, atol=exact)
    assert (np.diff(energy) < 1e-14).all()


@pytest.mark.parametrize("name", NAMES)
def test_time_reversal(name):
    system = systems.get(name)
    params, q, p = _states(name)
    dt = 0.08
    x = system.simulate(params, q, p, dt=dt, num_steps=STEPS)
    last_q, last_p = np.split(x[:, -1], 2, axis=-1)
    back = system.simulate(params, last_q, last_p, dt=-dt, num_steps=STEPS)
    np.testing.assert_allclose(back[:, ::-1], x, atol=1e-9)
    turned = system.simulate(params, last_q, -last_p, dt=dt, num_steps=STEPS)
    turned = turned[:, ::-1] * np.array([1, -1])
    np.testing.assert_allclose(turned, x, atol=1e-9)


@pytest.mark.parametrize(
    "name", ("mass_spring", "pendulum", "double_pendulum", "two_body")
)
def test_trajectories_and_pictures_equal_generated_ones(name):
    dataset = f"{name}_colors"
    spec = suite.DATASETS[dataset]
    system = systems.get(spec.system)
    with np.load(GOLDEN / "generated.npz") as arrays:
        for example in ("index0", "index1"):
            prefix = f"{dataset}__{example}__"
            g = {k.removeprefix(prefix): arrays[k] for k in arrays if prefix in k}
            params = {name: g[name] for name, _, _ in spec.params}
            q, p = np.split(g["x"][None], 2, axis=-1)
            field = np.concatenate(system.vector_field(params, q, p), -1)
            np.testing.assert_allclose(field[0], g["dx_dt"], atol=1e-12)
            many = {k: np.resize(v, (BATCH, *v.shape[1:])) for k, v in params.items()}
            start = [np.resize(half[0, 0], (BATCH, half.shape[-1])) for half in (q, p)]
            x = system.simulate(many, *start, dt=0.05, num_steps=STEPS)
            np.testing.assert_allclose(x[0, :6], g["x"], rtol=0, atol=1e-7)
            image = render.render(
                system.positions(params, q, g["offset"]),
                system.radii(params)[:, None],
                g["color_index"][:, None],
                canvas_min=spec.canvas[0],
                canvas_max=spec.canvas[1],
                num_colors=spec.num_colors,
                dtype=np.float64,
            )
            got = render.to_uint8(np.asarray(image[0]))
            np.testing.assert_array_equal(got, g["image"])


def test_double_pendulum_keeps_energy_and_turns_back():
    system = systems.get("double_pendulum")
    params, q, p = _states("double_pendulum")
    x = system.simulate(params, q, p, dt=0.05, num_steps=STEPS)
    energy = system.hamiltonian(params, *np.split(x, 2, axis=-1))
    np.testing.assert_allclose(energy, energy[:, :1] + np.zeros(61), atol=1e-7)
    last_q, last_p = np.split(x[:, -1], 2, axis=-1)
    back = system.simulate(params, last_q, last_p, dt=-0.05, num_steps=STEPS)
    np.testing.assert_allclose(back[:, -1], x[:, 0], atol=1e-5)


def test_gravity_keeps_energy_momentum_and_angular_momentum():
    system = systems.get("two_body")
    params, q, p = _states("two_body")
    x = system.simulate(params, q, p, dt=0.05, num_steps=STEPS)
    q, p = np.split(x, 2, axis=-1)
    energy = system.hamiltonian(params, q, p)
    np.testing.assert_allclose(energy, energy[:, :1] + np.zeros(61), atol=1e-7)
    np.testing.assert_allclose(p[..., :2] + p[..., 2:], 0, atol=1e-12)
    turning = q[..., ::2] * p[..., 1::2] - q[..., 1::2] * p[..., ::2]
    spin = turning.sum(-1)
    np.testing.assert_allclose(spin, spin[:, :1] + np.zeros(61), atol=1e-9)
    back = system.simulate(params, q[:, -1], p[:, -1], dt=-0.05, num_steps=STEPS)
    np.testing.assert_allclose(back[:, ::-1], x, atol=1e-7)


def test_equal_bodies_move_on_circles():
    system, spec = systems.get("two_body"), suite.DATASETS["two_body"]
    params, q, p = system.sample(jax.random.key(3), BATCH, spec)
    x = system.simulate(params, q, p, dt=255 * 0.05 / STEPS, num_steps=STEPS)
    radius = np.hypot(x[..., 0], x[..., 1])
    np.testing.assert_allclose(radius, radius[:, :1] + np.zeros(STEPS + 1), atol=1e-12)
    assert (x[:, 1, 0] * x[:, 0, 1] > x[:, 1, 1] * x[:, 0, 0]).all()  # clockwise


def test_three_bodies_start_on_a_triangle():
    _, q, p = _states("three_body")
    corners = q.reshape(BATCH, 3, 2)
    radius = np.linalg.norm(corners, axis=-1)
    assert (radius >= 0.9).all() and (radius <= 1.2).all()
    np.testing.assert_allclose(corners.sum(1), 0, atol=1e-14)
    np.testing.assert_allclose(p.reshape(BATCH, 3, 2).sum(1), 0, atol=1e-14)


@pytest.mark.slow
def test_three_bodies_that_nearly_collide():
    system = systems.get("three_body")
    params, q, p = _states("three_body")
    x = system.simulate(params, q, p, dt=0.05, num_steps=STEPS)
    energy = system.hamiltonian(params, *np.split(x, 2, axis=-1))
    drift = np.abs(energy / energy[:, :1] - 1).max(axis=1)
    # Where two bodies come nearest (r = 4.5e-4, potential energy U = 1,400 of |H|), a
    # rounding error of a position changes H by eps U / (|H| r) = 7e-10 of it, and the steps
    # there add up a few, which differ between versions of XLA: 7.1e-9 with jax 0.10,
    # 1.1e-8 with 0.12. A hundred and more of them are allowed; equal steps miss by 1.
    assert drift.max() < 1e-7 and np.median(drift) < 1e-12
    steady = ToySystem.simulate_steadily(system, params, q, p, dt=0.05, num_steps=STEPS)
    wrong = np.abs(steady - x).max(axis=(1, 2))
    assert (wrong > 1).any()  # equal steps do not serve all
    np.testing.assert_array_equal(
        system.simulate_steadily(params, q, p, dt=0.05, num_steps=60), x
    )
    for i in (np.argmax(wrong), np.argmin(wrong)):
        one = {name: value[i : i + 1] for name, value in params.items()}

        def field(_, y, one=one):
            velocities = system.vector_field(one, *np.split(y[None], 2, axis=-1))
            return np.concatenate(velocities, -1)[0]

        times = 0.05 * np.arange(61)
        solution = solve_ivp(
            field, (0, 3), x[i, 0], "DOP853", times, rtol=1e-13, atol=1e-13
        )
        np.testing.assert_allclose(x[i], solution.y.T, rtol=0, atol=1e-7)


def test_bodies_that_collide_are_told_of():
    params, q = {"m": np.ones((64, 3)), "g": np.ones(64)}, np.zeros((64, 6))
    q[:, 0], q[:, 2], q[:, 5] = 5, -5, 5
    q[7] = [0.2, 0, -0.2, 0, 0, 5]  # they fall for about 0.2 units of time
    text = "three_body: trajectory 7 cannot be followed beyond frame 3"
    with pytest.raises(UserError, match=text) as caught:
        systems.get("three_body").simulate(
            params, q, np.zeros((64, 6)), dt=0.05, num_steps=60
        )
    assert "\n" not in str(caught.value)


def test_a_strong_spring_on_a_light_mass():
    spring, friction, dt = systems.get("mass_spring"), 0.05, 5 / STEPS
    k, m = _many(2.0, 400.0), _many(0.5, 0.01)
    start = np.ones((BATCH, 1)), np.zeros((BATCH, 1))
    x = spring.simulate(
        {"k": k, "m": m}, *start, dt=dt, num_steps=STEPS, friction=friction
    )
    t, decay = dt * np.arange(STEPS + 1), (friction / (2 * m))[:, None]
    w = np.sqrt((k / m)[:, None] - decay**2)
    expected = np.exp(-decay * t) * (np.cos(w * t) + decay / w * np.sin(w * t))
    np.testing.assert_allclose(x[..., 0], expected, rtol=0, atol=1e-10)


def test_a_pendulum_at_rest_upside_down_stays_there():
    pendulum = systems.get("pendulum")
    params = {name: _many(1) for name in "mgl"}
    q0, p0 = _many(np.pi, 0)[:, None], np.zeros((BATCH, 1))
    x = pendulum.simulate(params, q0, p0, dt=1 / STEPS, num_steps=STEPS)
    np.testing.assert_allclose(x, x[:, :1] + np.zeros((STEPS + 1, 2)), atol=1e-13)


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_frames_that_are_too_far_apart(name):
    system = systems.get(name)
    with pytest.raises(UserError, match=r"dt is 1e[+]30: .* must be at most"):
        if isinstance(system, systems.Game):
            x0 = np.full((1, 2 * system.num_actions), 1 / system.num_actions)
            system.simulate(system.payoff, x0, dt=1e30, num_steps=1)
        else:
            params, q, p = _some_states(name)
            system.simulate(params, q, p, dt=1e30, num_steps=1)


def _some_states(name):
    """Params, q and p of 64 trajectories, without the cost of equilibrating a box."""
    if not name.startswith("lj"):
        return _states(name)
    rows = int(systems.get(name).num_particles ** 0.5)
    grid = 1.1 * np.stack(np.divmod(np.arange(rows**2), rows), -1).reshape(1, -1)
    rng = np.random.default_rng(0)
    q = grid + rng.uniform(-0.05, 0.05, (BATCH, 2 * rows**2))
    return {}, q, rng.normal(size=q.shape)


@pytest.mark.parametrize(
    "name", [n for n, s in systems.SYSTEMS.items() if isinstance(s, systems.System)]
)
def test_all_systems_have_the_same_methods(name):
    system = systems.get(name)
    params, q, p = _some_states(name)
    x = system.simulate(
        params=params, q0=q, p0=p, dt=0.0005, num_steps=STEPS, friction=0.05
    )
    assert x.shape == (BATCH, STEPS + 1, 2 * q.shape[1]) and x.dtype == np.float64
    np.testing.assert_array_equal(x[:, 0], np.concatenate([q, p], -1))
    before, after = np.split(x[:, 0], 2, -1), np.split(x[:, -1], 2, -1)
    velocity, _ = system.vector_field(params=params, q=q, p=p)
    q_dot, p_dot = system.vector_field(params=params, q=q, p=p, friction=0.05)
    assert q_dot.shape == p_dot.shape == q.shape
    lost = system.hamiltonian(params=params, q=after[0], p=after[1])
    lost = lost - system.hamiltonian(params=params, q=before[0], p=before[1])
    work = -0.05 * 0.03 * (velocity**2).sum(-1)
    assert lost.shape == (BATCH,)
    # Pairs that cross the cutoff of a box are worth up to 0.03 each.
    exact = 0.07 if name.startswith("lj") else 2e-5
    np.testing.assert_allclose(lost, work, rtol=0.5, atol=exact)
    offset = np.array([[0.5, -0.25]])
    places = system.positions(params=params, q=q, offset=offset)
    assert places.shape[0] == BATCH and places.shape[2] == 2
    unmoved = system.positions(params=params, q=q, offset=0.0)
    np.testing.assert_allclose(places - unmoved, np.broadcast_to(offset, places.shape))
    if not name.startswith("lj"):  # see the tests of the boxes
        spec = suite.DATASETS.get(f"{name}_colors", THREE)
        again, q0, p0 = system.sample(key=jax.random.key(3), n=BATCH, spec=spec)
        np.testing.assert_array_equal(np.stack([q0, p0]), np.stack([q, p]))
        assert all(len(value) == BATCH for value in again.values())


def test_damped_spring_is_the_damped_oscillator():
    spring, friction, dt = systems.get("mass_spring"), 0.05, 10 / STEPS
    params, q, p = _states("mass_spring")
    x = spring.simulate(params, q, p, dt=dt, num_steps=STEPS, friction=friction)
    k, m = params["k"][:, None], params["m"][:, None]
    t = dt * np.arange(STEPS + 1)
    decay = friction / (2 * m)
    w = np.sqrt(k / m - decay**2)
    expected = np.exp(-decay * t) * (
        q * np.cos(w * t) + (p / m + decay * q) / w * np.sin(w * t)
    )
    np.testing.assert_allclose(x[..., 0], expected, atol=1e-9)


def test_jax_in_jax_out():
    pendulum = systems.get("pendulum")
    params, q, _ = _states("pendulum")
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, q))
    drawn = jax.jit(pendulum.positions)(*single)
    assert isinstance(drawn, jax.Array) and drawn.shape == (BATCH, 1, 2)
    exact = pendulum.positions(params, q)
    assert isinstance(exact, np.ndarray) and exact.dtype == np.float64
    np.testing.assert_allclose(drawn, exact, atol=1e-6)


def test_unknown_system_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'pendulum'"):
        systems.get("pendulumm")

"""Lennard-Jones boxes: forces, motion, and the states that trajectories begin with."""

import jax
import numpy as np
import pytest
from scipy import stats

from nwm_jax.data import suite, systems

BOXES = ("lj_4", "lj_16")


def _moving(box, n=8):
    """Particles that are near each other but not too near, and their velocities."""
    rng = np.random.default_rng(0)
    rows = int(box.num_particles**0.5)
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(rows)), -1).reshape(-1, 2)
    places = 1.13 * grid + rng.uniform(-0.08, 0.08, (n, box.num_particles, 2))
    velocities = rng.normal(size=places.shape)
    velocities -= velocities.mean(1, keepdims=True)
    return places.reshape(n, -1), velocities.reshape(n, -1)


def _distances(box, q):
    """Distances of nearest images, `[..., pairs]`, one by one."""
    places = box.positions({}, q)
    i, j = np.triu_indices(box.num_particles, 1)
    images = box.side * np.array([[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)])
    apart = places[..., i, None, :] - places[..., j, None, :] + images
    return np.linalg.norm(apart, axis=-1).min(-1)


@pytest.fixture(scope="module", params=BOXES)
def box(request):
    return systems.get(request.param)


@pytest.fixture(scope="module")
def moved(box):
    """(q, p) over 101 frames."""
    q0, p0 = _moving(box)
    x = box.simulate({}, q0, p0, dt=0.004, num_steps=100)
    assert x.shape == (8, 101, 4 * box.num_particles) and x.dtype == np.float64
    return np.split(x, 2, axis=-1)


def test_boxes():
    four, sixteen = map(systems.get, BOXES)
    assert four.side == pytest.approx(10.0) and four.cutoff == pytest.approx(5.0)
    assert sixteen.side == pytest.approx(4.558423058, abs=1e-9)
    assert sixteen.cutoff == pytest.approx(2.279211529, abs=1e-9)


def test_energy_is_the_sum_over_pairs(box):
    q, p = _moving(box)
    r = _distances(box, q)
    pairs = np.where(r < box.cutoff, 4 * (r**-12 - r**-6), 0).sum(-1)
    energy = box.hamiltonian({}, q, p)
    np.testing.assert_allclose(energy, pairs + (p**2).sum(-1) / 2, rtol=1e-12)


def test_field_is_the_gradient_of_the_energy(box):
    q, p = _moving(box)
    with jax.enable_x64(True):
        gradients = jax.jit(
            jax.grad(lambda q, p: box.hamiltonian({}, q, p).sum(), (0, 1))
        )(q, p)
        dh_dq, dh_dp = map(np.asarray, gradients)
    for friction in (0.0, 0.05):
        q_dot, p_dot = box.vector_field({}, q, p, friction)
        np.testing.assert_allclose(q_dot, dh_dp, atol=1e-14)
        scale = np.abs(dh_dq).max()
        expected = -dh_dq - friction * dh_dp
        np.testing.assert_allclose(p_dot, expected, atol=1e-13 * scale)


def test_the_box_is_periodic(box):
    q, p = _moving(box)
    rng = np.random.default_rng(1)
    turns = box.side * rng.integers(-2, 3, q.shape)
    shifted = q + np.tile(rng.normal(size=2), box.num_particles) + turns
    for x in (shifted, box.wrap(shifted)):
        energy = box.hamiltonian({}, x, p)
        np.testing.assert_allclose(energy, box.hamiltonian({}, q, p), rtol=1e-10)
    inside = box.wrap(shifted)
    assert np.abs(inside).max() <= box.side / 2
    away = (shifted - inside) / box.side
    np.testing.assert_allclose(away, np.rint(away), atol=1e-12)


def test_steps_are_velocity_verlet(box):
    q, p = q0, p0 = _moving(box)
    _, force = box.vector_field({}, q, p)
    for _ in range(6):
        p = p + 0.001 * force
        q = q + 0.002 * p
        _, force = box.vector_field({}, q, p)
        p = p + 0.001 * force
    x = box.simulate({}, q0, p0, dt=0.006, num_steps=2)
    expected = np.concatenate([q, p], -1)
    np.testing.assert_allclose(x[:, -1], expected, rtol=0, atol=1e-12)


def test_frames_may_lie_between_steps(box):
    q, p = _moving(box)
    coarse = box.simulate({}, q, p, dt=0.005, num_steps=4)  # three steps of 0.00167
    fine = box.simulate({}, q, p, dt=0.0005, num_steps=40)
    np.testing.assert_allclose(coarse, fine[:, ::10], atol=2e-3)
    assert np.abs(coarse - fine[:, ::10]).max() > 1e-9


def test_friction_takes_the_energy_it_should(box):
    q0, p0 = _moving(box)
    x = box.simulate({}, q0, p0, dt=0.0005, num_steps=400, friction=2.0)
    q, p = np.split(x, 2, axis=-1)
    power = -2.0 * (p**2).sum(-1)
    work = 0.0005 / 2 * (power[:, :-1] + power[:, 1:]).cumsum(1)
    r = _distances(box, q)
    edge = 4 * (box.cutoff**-12 - box.cutoff**-6)
    energy = box.hamiltonian({}, q, p) - edge * (r < box.cutoff).sum(-1)
    np.testing.assert_allclose(energy[:, 1:] - energy[:, :1], work, atol=0.01)
    assert (work[:, -1] < -0.5).all()
    # What friction takes of a velocity does not depend on the forces.
    total = p0.reshape(8, -1, 2).sum(1) + 1.0
    drifting = p0 + np.tile(total / box.num_particles, box.num_particles)
    end = box.simulate({}, q0, drifting, dt=0.05, num_steps=4, friction=2.0)[:, -1]
    end = end[:, end.shape[1] // 2 :].reshape(8, -1, 2).sum(1)
    start = drifting.reshape(8, -1, 2).sum(1)
    np.testing.assert_allclose(end, np.exp(-0.4) * start, rtol=1e-10)


def test_momentum_and_energy(box, moved):
    q, p = moved
    total = p.reshape(8, 101, box.num_particles, 2).sum(2)
    np.testing.assert_allclose(total, 0, atol=1e-11)
    # Every pair within the cutoff adds what the potential was not shifted by.
    r = _distances(box, q)
    edge = 4 * (box.cutoff**-12 - box.cutoff**-6)
    shifted = box.hamiltonian({}, q, p) - edge * (r < box.cutoff).sum(-1)
    np.testing.assert_allclose(shifted, shifted[:, :1] + np.zeros(101), atol=0.02)
    kinetic = (p**2).sum(-1) / 2
    assert np.ptp(kinetic, axis=1).min() > 0.5  # energy does go to and fro


def test_time_reversal(box, moved):
    q, p = moved
    back = box.simulate({}, q[:, -1], p[:, -1], dt=-0.004, num_steps=100)
    expected = np.concatenate([q, p], -1)[:, ::-1]
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def fluid():
    return systems.get("lj_16").sample(jax.random.key(0), 200)


def _check_equilibrium(box, q0, p0):
    """What holds of initial states; their temperature over a time unit."""
    n = len(q0)
    assert np.abs(q0).max() <= box.side / 2
    places, velocities = (a.reshape(n, -1, 2) for a in (q0, p0))
    np.testing.assert_allclose(velocities.sum(1), np.zeros((n, 2)), atol=1e-12)
    assert _distances(box, q0).min() > 0.75
    # Particles, and directions, are all alike; and so are all places.
    for particle in (0, -1):
        for axis in (0, 1):
            x = places[:, particle, axis] / box.side + 0.5
            assert stats.kstest(x, "uniform").pvalue > 1e-3
    squares = (velocities**2).mean(0)
    np.testing.assert_allclose(squares, squares.mean(), rtol=6 / n**0.5)
    x = box.simulate({}, q0, p0, dt=0.05, num_steps=20)
    q, p = np.split(x, 2, axis=-1)
    # All have the energy that they were given, up to what the cutoff takes or gives.
    spread = 0.5 if box.num_particles == 16 else 0.01
    np.testing.assert_allclose(box.hamiltonian({}, q, p), box.energy, atol=spread)
    return (p**2).sum(-1) / (2 * box.num_particles - 2)


def test_dense_fluid_is_in_equilibrium(fluid):
    _, q0, p0 = fluid
    temperature = _check_equilibrium(systems.get("lj_16"), q0, p0)
    # A simulation of 400 time units by another program had 0.497.
    assert temperature.mean() == pytest.approx(0.497, abs=0.006)
    np.testing.assert_allclose(temperature.mean(0), temperature.mean(), atol=0.03)


def test_a_state_depends_on_its_own_seed_alone(fluid):
    few = systems.get("lj_16").sample(
        key=jax.random.key(0), n=3, spec=suite.get("lj_16")
    )
    for a, b in zip(few[1:], fluid[1:], strict=True):
        np.testing.assert_array_equal(a, b[:3])


@pytest.mark.slow
def test_gas_is_in_equilibrium():
    box = systems.get("lj_4")
    _, q0, p0 = box.sample(jax.random.key(0), 1000)
    temperature = _check_equilibrium(box, q0, p0)
    assert 0.87 < temperature.mean() < 1.15  # over 40 time units, by another program
    assert temperature.mean() == pytest.approx(0.98, abs=0.02)

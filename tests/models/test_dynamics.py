"""Latent dynamics: oracles, reversibility, symplecticity, energies, the adaptive solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.models import solvers
from nwm_jax.models.dynamics import Hamiltonian, Lagrangian, NeuralODE, Recurrent
from nwm_jax.modules import functional
from nwm_jax.modules.layers import MLP, ScalarMLP
from tests.helpers.numerics import check_gradients, fill, to_float64


def network(inputs, outputs, hidden=(6, 6)):
    return MLP([inputs, *hidden, outputs], rngs=nnx.Rngs(0))


def energy_net(first):
    """The network 2 -> 4 -> 4 -> 1 of the original program's tiny example."""
    make = lambda: ScalarMLP([2, 4, 4], rngs=nnx.Rngs(0))
    graphdef, params, state = functional.split(nnx.eval_shape(make))
    for i, layer in params["layers"].items():
        layer["bias"] = fill(layer["bias"].shape, first + 2 * i, 0.5)
        layer["kernel"] = fill(layer["kernel"].shape, first + 2 * i + 1, 2.0)
    return functional.merge(graphdef, params, state)


def with_weights(make, dtype=np.float32):
    """What `make` makes, with weights that need no compilation."""
    graphdef, params, state = functional.split(nnx.eval_shape(make))
    rng = np.random.default_rng(0)
    draw = lambda leaf: rng.normal(scale=0.6, size=leaf.shape).astype(dtype)
    return functional.merge(graphdef, jax.tree.map(draw, params), state)


def normal(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def move(model, z, dt, num_back, num_forward, include_start=True):
    """A compiled `trajectory`."""
    run = jax.jit(
        lambda z, dt: model.trajectory(z, dt, num_back, num_forward, include_start)
    )
    return run(z, dt)


@pytest.fixture(scope="module")
def tiny():
    return Hamiltonian(energy_net(0), energy_net(6))


def test_hamiltonian_gives_the_originals_numbers(tiny):
    """And the row with a negative dt is the other's roll-out, flipped in time."""
    z = jnp.array([[0.3, -0.2, 0.1, 0.4]] * 2)
    result = move(tiny, z, jnp.array([0.125, -0.125]), 1, 2)
    want = [
        [0.2631564, -0.2182821, 0.1063907, 0.4151478],
        [0.3, -0.2, 0.1, 0.4],
        [0.3366266, -0.1816199, 0.0933580, 0.3850773],
        [0.3730284, -0.1631466, 0.0864622, 0.3703766],
    ]
    np.testing.assert_allclose(result[0], want, atol=2e-5)
    np.testing.assert_allclose(result[1, 2::-1], result[0, :3], atol=1e-6)
    np.testing.assert_array_equal(tiny.visible(result), result[..., :2])


def test_sixty_steps_there_and_back(tiny):
    z = normal((3, 4))
    run = jax.jit(lambda z, dt: tiny.trajectory(z, dt, 0, 60, False)[:, -1])
    there = run(z, 0.125)
    assert np.abs(there - z).max() > 0.1
    np.testing.assert_allclose(run(there, -0.125), z, atol=1e-5)


def test_a_step_is_symplectic_and_conserves_the_energy(tiny):
    """``J^T E J = E``; the energy stays within a band that shrinks as dt squared."""
    with jax.enable_x64(True):
        graphdef, params, state = functional.split(tiny)
        model = functional.merge(graphdef, to_float64(params), state)
        step = lambda z: model.trajectory(z[None], 0.3, 0, 1, False)[0, 0]
        z = jnp.array([0.3, -0.8, 0.5, 1.1])
        jacobian = np.asarray(jax.jit(jax.jacfwd(step))(z))
        form = np.kron([[0, 1], [-1, 0]], np.eye(2))
        np.testing.assert_allclose(jacobian.T @ form @ jacobian, form, atol=1e-12)
        assert np.abs(jacobian - np.eye(4)).max() > 0.03
        run = jax.jit(lambda dt: model.energy(model.trajectory(z[None], dt, 0, 100)))
        coarse, fine = run(0.2)[0, :51], run(0.1)[0]
        assert fine.shape == (101,)
        np.testing.assert_allclose(np.ptp(coarse) / np.ptp(fine), 4.0, rtol=0.1)


def test_a_general_integrator_agrees(tiny):
    z = normal((2, 4))
    general, symplectic = (
        Hamiltonian(tiny.kinetic, tiny.potential, integrator=name)
        for name in ("rk4", "sym6")
    )
    result, want = jax.jit(
        lambda z: [m.trajectory(z, 0.125, 0, 3) for m in (general, symplectic)]
    )(z)
    np.testing.assert_allclose(result, want, atol=1e-5)


def test_lagrangian_is_the_euler_lagrange_equation():
    """Against L itself and derivatives of one example; the energy is conserved."""
    with jax.enable_x64(True):
        energy = lambda: ScalarMLP([3, 6, 6], rngs=nnx.Rngs(0))
        make = lambda: Lagrangian(network(3, 6), energy(), integrator="rk4")
        model = with_weights(make, np.float64)

        def lagrangian(q, v):
            entries = list(model.kinetic(q))
            rows = [
                [0.0] * i + [entries.pop(0) for _ in range(3 - i)] for i in range(3)
            ]
            factor = jnp.array(rows)
            return v @ (factor.T @ factor + jnp.eye(3)) @ v / 2 - model.potential(q)

        def oracle(q, v):
            momentum = jax.grad(lagrangian, 1)
            mass = jax.jacobian(momentum, 1)(q, v)
            force = jax.grad(lagrangian)(q, v) - jax.jacobian(momentum)(q, v) @ v
            return jnp.linalg.solve(mass, force), momentum(q, v) @ v - lagrangian(q, v)

        every = jax.vmap(oracle)
        z = 2 * np.random.default_rng(1).normal(size=(2, 6))
        q, v = z[:, :3], z[:, 3:]

        @jax.jit
        def run(q, v):
            states = model.trajectory(z, 0.01, 0, 40)
            return model.acceleration(q, v), model.energy(states), every(q, v)

        acceleration, energy, (want, start) = run(q, v)
        np.testing.assert_allclose(acceleration, want, rtol=1e-9)
        np.testing.assert_allclose(energy[:, 0], start, rtol=1e-12)
        np.testing.assert_allclose(energy, start[:, None] * np.ones(41), rtol=1e-6)


def test_recurrent_map():
    z = normal((2, 4))
    for residual in (True, False):
        model = with_weights(lambda r=residual: Recurrent(network(4, 4), residual=r))
        result = move(model, z, 1.0, 0, 2)
        np.testing.assert_array_equal(result[:, 0], z)
        for t in (0, 1):
            want = model.net(result[:, t]) + residual * result[:, t]
            np.testing.assert_allclose(result[:, t + 1], want, atol=1e-6)
    with pytest.raises(UserError, match="does not run backward"):
        model.trajectory(z, 1.0, 1, 2)


def test_rematerialisation_changes_nothing():
    z = normal((2, 4))
    model = with_weights(lambda: Recurrent(network(4, 4)))

    def gradient(remat):
        model.remat = remat
        loss = lambda z: jnp.sum(model.trajectory(z, 0.0, 0, 7) ** 2)
        return jax.jit(jax.grad(loss))(z)

    plain, blocks = gradient(0), gradient(3)
    np.testing.assert_allclose(plain, blocks, rtol=1e-5)


def test_adaptive_solver_on_a_rotation():
    """Against the matrix exponential; dt of any sign and size, one for each example."""
    skew = fill((4, 4), 3, 4.0)
    skew = skew - skew.T
    z = normal((3, 4))
    dt = np.array([0.125, -0.125, 0.05], np.float32)
    run = jax.jit(
        lambda z: solvers.integrate_adaptively(lambda z: z @ skew.T, z, dt, 62)
    )
    result = np.asarray(run(z))
    assert result.shape == (3, 62, 4)
    for i in range(3):
        for t in range(62):
            exact = scipy.linalg.expm(dt[i] * (t + 1) * skew) @ z[i]
            np.testing.assert_allclose(result[i, t], exact, atol=1e-4)
    norms = np.linalg.norm(result, axis=-1) / np.linalg.norm(z, axis=-1)[:, None]
    np.testing.assert_allclose(norms, 1.0, atol=1e-4)
    # Larger neighbours share smaller steps with it.
    other = run(z * np.array([[30.0], [1.0], [30.0]], np.float32))
    assert np.any(other[1] != result[1])
    np.testing.assert_allclose(other[1], result[1], atol=1e-4)


def test_adaptive_solver_gives_up_with_infinity():
    """A solution that blows up at time 1 is finite before and never wrong after."""
    result = solvers.integrate_adaptively(lambda z: z**2, jnp.ones((1, 1)), 0.3, 5)
    np.testing.assert_allclose(result[0, :3, 0], 1 / (1 - 0.3 * np.arange(1, 4)), 1e-4)
    assert not np.isfinite(result[0, 3:]).any()


@pytest.mark.slow
def test_gradient_of_the_adaptive_solver(monkeypatch):
    """Against finite differences, at the start, the weights, and dt.

    Differences see how the step sizes change too, within the tolerance: a tight one.
    """
    monkeypatch.setattr(solvers, "TOLERANCE", 1e-11)
    with jax.enable_x64(True):
        make = lambda: NeuralODE(network(3, 3, hidden=[4]))
        graphdef, params, state = functional.split(with_weights(make))
        weights = jnp.asarray(fill((2, 4, 3), 1, 2.0), jnp.float64)

        def loss(tree):
            model = functional.merge(graphdef, tree["params"], state)
            return jnp.sum(
                weights * model.trajectory(tree["z"], tree["dt"], 0, 4)[:, 1:]
            )

        tree = {"params": params}
        tree |= {"z": fill((2, 3), 0, 2.0), "dt": np.array([0.3, -0.2])}
        check_gradients(loss, to_float64(tree), rtol=1e-5, epsilon=1e-4)


def test_what_integrators_fit():
    with pytest.raises(UserError, match=r"'leapfrog' does not fit .* dopri5, euler"):
        NeuralODE(None, integrator="leapfrog")
    with pytest.raises(UserError, match="'so4' does not fit"):
        Lagrangian(None, None, integrator="so4")
    with pytest.raises(UserError, match=r"'rk5' does not fit .* leapfrog"):
        Hamiltonian(None, None, integrator="rk5")

"""Integrators: order by slope, exact numbers, reversibility, symplecticity, batches of dt."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import errors
from nwm_jax.core import integrators
from tests.helpers import numerics

ORDERS = {
    "euler": 1,
    "midpoint": 2,
    "rk4": 4,
    "rk38": 4,
    "symplectic_euler": 1,
    "symplectic_euler_p": 1,
    "leapfrog": 2,
    "leapfrog_q": 2,
    "ruth4": 4,
    "sym4": 4,
    "sym6": 6,
    "so4": 4,
    "so4_q": 4,
    "so6": 6,
    "so6_q": 6,
    "so8": 8,
    "so8_q": 8,
}
ALIASES = {
    "symplectic_euler_q": "symplectic_euler",
    "leapfrog_p": "leapfrog",
    "so4_p": "so4",
    "so6_p": "so6",
    "so8_p": "so8",
}
SPRING = (lambda p: p, lambda q: -q)


def stepper(name, field):
    return functools.partial(integrators.get(name), field)


def random_system(seed: int):
    """(velocity, force) of K(p) + U(q), two small random networks, on ``[B, 2]``."""
    rng = np.random.default_rng(seed)
    w1, w2 = rng.normal(size=(2, 2, 8))
    v1, v2 = rng.normal(size=(2, 1, 8))

    def velocity(p: jax.Array) -> jax.Array:
        return p + (v1 / jnp.cosh(p @ w1) ** 2) @ w1.T

    def force(q: jax.Array) -> jax.Array:
        return -q - (v2 / jnp.cosh(q @ w2) ** 2) @ w2.T

    return velocity, force


def test_table_is_complete() -> None:
    for name, other in ALIASES.items():
        assert integrators.get(name).keywords == integrators.get(other).keywords, (
            f"{name} is {other}"
        )
    assert (
        ORDERS.keys() | ALIASES.keys()
        == integrators.GENERAL.keys() | integrators.SYMPLECTIC.keys()
    )


def _pendulum(name: str):
    """A pendulum whose velocity is not linear in p, in the form the method wants."""

    def velocity(p: jax.Array) -> jax.Array:
        return p * (1 + 0.3 * p**2)

    def force(q: jax.Array) -> jax.Array:
        return -2.0 * jnp.sin(q)

    if name in integrators.SYMPLECTIC:
        return velocity, force
    return lambda y: (velocity(y[1]), force(y[0]))


def _after_one_second(name: str):
    """A compiled function of the number of steps: ``[q, p]`` after time 1."""
    step = stepper(name, _pendulum(name))
    start = (jnp.array([[0.7]]), jnp.array([[0.4]]))

    @jax.jit
    def run(steps: int) -> jax.Array:
        y = jax.lax.fori_loop(0, steps, lambda _, y: step(y, 1.0 / steps), start)
        return jnp.concatenate(y).ravel()

    return run


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_after_one_second("so8")(100))


@pytest.mark.parametrize("name", ORDERS)
def test_order(name: str, exact: np.ndarray) -> None:
    """Halving dt divides the error by 2 to the power of the order."""
    few = {1: 256, 2: 64, 8: 5}.get(ORDERS[name], 12)
    with jax.enable_x64(True):
        run = _after_one_second(name)
        coarse, fine = (np.linalg.norm(run(n) - exact) for n in (few, 2 * few))
    assert abs(np.log2(coarse / fine) - ORDERS[name]) < 0.25


def test_which_moves_first() -> None:
    q, p = np.array([[1.0]]), np.array([[0.5]])
    for name, expected in {
        "symplectic_euler": (1.05, 0.5 - 0.105),
        "symplectic_euler_q": (1.05, 0.5 - 0.105),
        "symplectic_euler_p": (1.0 + 0.1 * 0.4, 0.4),
    }.items():
        result = integrators.get(name)(SPRING, (q, p), 0.1)
        np.testing.assert_allclose(np.ravel(result), expected, rtol=1e-6)
    for default in ("leapfrog", "so4", "so6", "so8"):
        assert integrators.get(default).keywords["first"] == "p"
        assert integrators.get(default + "_q").keywords["first"] == "q"


def test_leapfrog_numbers() -> None:
    step = stepper("leapfrog", SPRING)
    start = (jnp.ones((1, 1)), jnp.zeros((1, 1)))
    q, p = (np.ravel(y) for y in integrators.integrate(step, start, 0.125, 60))
    assert q.shape == (60,) and q.dtype == np.float32
    assert q[0] == 0.9921875 and p[0] == -0.12451171875
    np.testing.assert_allclose([q[-1], p[-1]], [0.3420430, -0.9378472], atol=2e-6)
    np.testing.assert_allclose(p**2 + q**2 * (1 - 0.125**2 / 4), 0.99609375, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "double"),
    [("leapfrog", False), ("leapfrog", True), ("leapfrog_q", True), ("ruth4", True)],
)
def test_reversible(name: str, double: bool) -> None:
    """Sixty steps there and sixty back end at the start, for symmetric methods."""
    start = np.random.default_rng(0).normal(size=(2, 3, 2))
    with jax.enable_x64(double):
        for field in (SPRING, random_system(0)):
            step = stepper(name, field)
            run = jax.jit(
                lambda y, dt, step=step: jax.tree.map(
                    lambda y: y[:, -1], integrators.integrate(step, y, dt, 60)
                )
            )
            there = run(tuple(start), 0.125)
            back = run(there, -0.125)
            np.testing.assert_allclose(back, start, atol=1e-11 if double else 1e-5)
            assert np.abs(there[0] - start[0]).max() > 0.1


@pytest.mark.parametrize("name", sorted(ORDERS.keys() & integrators.SYMPLECTIC.keys()))
def test_symplectic(name: str) -> None:
    """The Jacobian of a step obeys ``J^T E J = E``."""
    with jax.enable_x64(True):
        step = stepper(name, random_system(1))

        def flat_step(z: jax.Array) -> jax.Array:
            q, p = step((z[None, :2], z[None, 2:]), 0.3)
            return jnp.concatenate([q, p], axis=1)[0]

        z = jnp.array([0.3, -0.8, 0.5, 1.1])
        jacobian = np.asarray(jax.jit(jax.jacfwd(flat_step))(z))
    form = np.kron([[0, 1], [-1, 0]], np.eye(2))
    np.testing.assert_allclose(jacobian.T @ form @ jacobian, form, atol=1e-11)
    assert np.abs(jacobian - np.eye(4)).max() > 0.1


def test_general_methods_are_not_symplectic() -> None:
    for name in integrators.GENERAL:
        step = stepper(name, lambda z: jnp.stack([z[1], -z[0]]))
        jacobian = jax.jit(jax.jacfwd(lambda z, step=step: step(z, 0.5)))
        matrix = np.asarray(jacobian(jnp.array([1.0, 0.0])))
        assert abs(np.linalg.det(matrix) - 1.0) > 1e-4


def _swish_network(first: int):
    """The scalar network 2 -> 4 -> 4 -> 1 of the original program's tiny example."""
    sizes = [2, 4, 4, 1]
    layers = [
        (
            numerics.fill((sizes[i], sizes[i + 1]), first + 2 * i + 1, 2),
            numerics.fill((1, sizes[i + 1]), first + 2 * i, 0.5),
        )
        for i in range(3)
    ]

    def network(z: jax.Array) -> jax.Array:
        for i, (w, b) in enumerate(layers):
            z = z @ w + b
            z = jax.nn.swish(z) if i < 2 else z
        return jnp.sum(z)

    return network


def test_small_hamiltonian_network_both_ways() -> None:
    """A leapfrog roll-out as computed by the original program."""
    kinetic, potential = _swish_network(0), _swish_network(6)
    step = stepper("leapfrog", (jax.grad(kinetic), lambda q: -jax.grad(potential)(q)))
    q0, p0 = np.array([[0.3, -0.2]] * 2), np.array([[0.1, 0.4]] * 2)
    dt = jnp.array([0.125, -0.125])
    run = jax.jit(lambda y, dt: integrators.integrate_both_ways(step, y, dt, 1, 2))
    q, p = run((q0, p0), dt)
    expected_q = [
        [0.2631564, -0.2182821],
        [0.3, -0.2],
        [0.3366266, -0.1816199],
        [0.3730284, -0.1631466],
    ]
    expected_p = [
        [0.1063907, 0.4151478],
        [0.1, 0.4],
        [0.0933580, 0.3850773],
        [0.0864622, 0.3703766],
    ]
    np.testing.assert_allclose(q[0], expected_q, atol=2e-5)
    np.testing.assert_allclose(p[0], expected_p, atol=2e-5)
    # The other row runs the other way: what is past for one is future for the other.
    np.testing.assert_allclose(q[1, 2::-1], q[0, :3], atol=1e-6)
    assert q.shape == (2, 4, 2)


@pytest.mark.parametrize("name", ["euler", "midpoint", "rk4", "rk38", "leapfrog"])
def test_a_step_length_for_every_example(name: str) -> None:
    step = stepper(name, _pendulum(name))
    rng = np.random.default_rng(0)
    start = tuple(rng.normal(size=(2, 3, 2, 2)).astype("float32"))
    lengths = np.array([0.1, -0.2, 0.05], np.float32)
    run = jax.jit(lambda y, dt: integrators.integrate(step, y, dt, 5))
    result = run(start, lengths)
    for i, dt in enumerate(lengths.tolist()):
        alone = run(tuple(y[i : i + 1] for y in start), dt)
        for a, b in zip(result, alone, strict=True):
            assert a.shape == (3, 5, 2, 2)
            np.testing.assert_allclose(a[i], b[0], atol=1e-6)


def test_any_tree_and_precision() -> None:
    field = lambda y: {"a": -y["a"], "b": [0.5 * y["b"][0]]}
    start = {"a": np.ones((2, 3)), "b": [np.ones(2, np.int32)]}
    for name in integrators.GENERAL:
        result = integrators.integrate(stepper(name, field), start, 0.01, 100)
        assert result["a"].shape == (2, 100, 3) and result["b"][0].shape == (2, 100)
        tolerance = 0.02 if name == "euler" else 1e-4
        np.testing.assert_allclose(result["a"][:, -1], np.exp(-1), rtol=tolerance)
        np.testing.assert_allclose(result["b"][0][:, -1], np.exp(0.5), rtol=tolerance)
    with jax.enable_x64(True):
        result = integrators.integrate(
            stepper("rk4", field), start, np.float32(0.01), 1
        )
        assert result["a"].dtype == jnp.float64
        single = jax.tree.map(lambda y: y.astype(np.float32), start)
        result = integrators.integrate(
            stepper("rk4", field), single, np.float64(0.01), 1
        )
        assert result["a"].dtype == jnp.float32


@pytest.mark.parametrize("include_start", [True, False])
@pytest.mark.parametrize(("back", "forward"), [(3, 2), (0, 2), (3, 0), (0, 0)])
def test_order_of_time(back: int, forward: int, include_start: bool) -> None:
    """``y' = 1`` from 0: the states are their own times."""
    result = integrators.integrate_both_ways(
        stepper("euler", jnp.ones_like),
        np.zeros((1,)),
        0.5,
        back,
        forward,
        include_start,
    )
    times = [0.5 * i for i in range(-back, forward + 1) if i or include_start]
    np.testing.assert_array_equal(result, np.reshape(times, (1, -1)))


def test_gradients_through_a_roll_out() -> None:
    with jax.enable_x64(True):
        velocity, force = random_system(2)
        rng = np.random.default_rng(1)
        start = tuple(numerics.to_float64(rng.normal(size=(2, 2, 2))))

        def loss(tree: tuple) -> jax.Array:
            y, dt, stiffness = tree
            field = (velocity, lambda q: force(q) - stiffness * q)
            q, p = integrators.integrate(stepper("leapfrog", field), y, dt, 10)
            return jnp.sum(jnp.sin(q)) + jnp.sum(p**2)

        tree = (start, jnp.array([0.1, -0.1]), jnp.array(0.5))
        numerics.check_gradients(loss, tree)


def test_errors() -> None:
    with pytest.raises(errors.UserError, match=r"'rk5'; general: euler.*so8_p"):
        integrators.get("rk5")
    step = stepper("euler", jnp.ones_like)
    with pytest.raises(errors.UserError, match="num_steps"):
        integrators.integrate(step, jnp.zeros(1), 0.1, -1)
    with pytest.raises(errors.UserError, match="num_steps"):
        integrators.integrate_both_ways(step, jnp.zeros(1), 0.1, -1, 2)

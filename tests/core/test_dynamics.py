"""What a field does over time: its symmetries, and the linear theory of its waves."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import oscillator, unroll
from nwm_jax.core.oscillator import OscillatorHParams, OscillatorParams, OscillatorState
from tests.helpers import numerics
from tests.helpers.oscillator_fields import make, random_state

FIELDS = {
    "torus": ("torus", (3, 4)),
    "ring": ("ring", (3, 4)),
    "dense": ("dense", (12,)),
}


def _spread(hparams: OscillatorHParams, params: OscillatorParams, steps: int) -> list:
    """Whether each cell feels a touch of the middle cell: ``[H, W]`` after each step."""
    rng = np.random.default_rng(2)
    shape = (1, *hparams.field_shape)
    rest = OscillatorState(*rng.standard_normal((2, *shape)).astype(np.float32))
    touch = np.zeros(shape, np.float32)
    touch[0, shape[1] // 2, shape[2] // 2] = 1.0
    step = jax.jit(
        lambda s, ds: jax.jvp(
            lambda s: oscillator.step(hparams, params, s, jnp.zeros(shape)), (s,), (ds,)
        )
    )
    change = OscillatorState(touch, touch)
    reached = []
    for _ in range(steps):
        # The tangent, not a difference: far away it is far below the rounding of x.
        rest, change = step(rest, change)
        reached.append(np.asarray((change.x != 0) | (change.v != 0))[0, ..., 0])
    return reached


def test_influence_spreads_one_cell_a_step() -> None:
    rows, columns = np.abs(np.indices((23, 23)) - 11)
    torus = _spread(*make("torus", (23, 23)), 11)
    ring = _spread(*make("ring", (23, 23)), 11)
    for number in range(1, 12):
        near = np.maximum(rows, columns) <= number
        np.testing.assert_array_equal(torus[number - 1], near)
        near = (rows == 0) & (columns <= number)
        np.testing.assert_array_equal(ring[number - 1], near)


@pytest.mark.parametrize("topology", ["torus", "ring", "dense"])
def test_symmetries(topology: str) -> None:
    """Moving input and state moves the answer, as far as the topology is uniform."""
    hparams = OscillatorHParams(topology, (20,) if topology == "dense" else (4, 5))
    params = make(topology, hparams.size)[1]
    params = params._replace(bias=np.full(hparams.field_shape, 0.3, np.float32))
    state, inputs = random_state(hparams), random_state(hparams, seed=1).x

    @jax.jit
    def three_steps(state: OscillatorState, inputs: jax.Array) -> OscillatorState:
        for _ in range(3):
            drive = oscillator.drive(hparams, params, inputs)
            state = oscillator.step(hparams, params, state, drive)
        return state

    def commutes(move: Callable[[np.ndarray], np.ndarray]) -> bool:
        def on_grid(a: jax.Array) -> jax.Array:
            return move(np.asarray(a).reshape(2, 4, 5)).reshape(a.shape)

        moved = three_steps(jax.tree.map(on_grid, state), on_grid(inputs))
        after = jax.tree.map(on_grid, three_steps(state, inputs))
        return all(
            np.allclose(a, b, atol=1e-5) for a, b in zip(moved, after, strict=True)
        )

    columns = commutes(lambda a: np.roll(a, 2, axis=2))
    rows = commutes(lambda a: np.roll(a, 1, axis=1))
    swapped = commutes(lambda a: a[:, [2, 0, 3, 1]])
    assert (columns, rows, swapped) == {
        "torus": (True, True, False),
        "ring": (True, True, True),
        "dense": (False, False, False),
    }[topology]


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("topology", FIELDS)
def test_zero_coupling_is_a_damped_oscillator(topology: str, learned: bool) -> None:
    """Every cell alone obeys ``s' = M s``, whatever its constants are stored as."""
    names = ("dt", "gamma", "alpha") if learned else ()
    hparams, params = make(*FIELDS[topology], learned=names)
    params = jax.tree.map(np.zeros_like, params)
    if learned:
        params = params._replace(
            dt=np.float32(-1.95), gamma=np.float32(1.0), alpha=np.float32(0.5)
        )
    start = OscillatorState(
        jnp.ones((1, *hparams.field_shape)), jnp.zeros((1, *hparams.field_shape))
    )
    _, states = unroll.unroll(
        lambda s, d: oscillator.step(hparams, params, s, d),
        start,
        jnp.zeros((1, 100, *hparams.field_shape)),
    )
    for steps, (x, v) in {
        10: (0.3805715, -0.7180403),
        100: (0.0356865, 0.0131638),
    }.items():
        np.testing.assert_allclose(states.x[:, steps - 1], x, atol=2e-5)
        np.testing.assert_allclose(states.v[:, steps - 1], v, atol=2e-5)


def _jacobian(hparams: OscillatorHParams, params: OscillatorParams) -> np.ndarray:
    """The matrix of one step at rest, ``[2 N, 2 N]`` on (all x, all v)."""
    size = int(np.prod(hparams.field_shape))

    def flat_step(flat: jax.Array) -> jax.Array:
        state = OscillatorState(*flat.reshape(2, 1, *hparams.field_shape))
        drive = jnp.zeros((1, *hparams.field_shape))
        return jnp.stack(oscillator.step(hparams, params, state, drive)).reshape(-1)

    return np.asarray(jax.jit(jax.jacfwd(flat_step))(jnp.zeros(2 * size)), np.float64)


def test_damped_oscillator_matrix() -> None:
    hparams, params = make("dense", (1,), learned=())
    matrix = _jacobian(hparams, jax.tree.map(np.zeros_like, params))
    np.testing.assert_allclose(np.linalg.det(matrix), 0.9377233, atol=1e-6)
    np.testing.assert_allclose(np.trace(matrix), 1.9222098, atol=1e-6)
    value = np.linalg.eigvals(matrix)[0]
    np.testing.assert_allclose(value.real, 0.9611049, atol=1e-6)
    np.testing.assert_allclose(abs(value.imag), 0.1183246, atol=1e-6)
    np.testing.assert_allclose(abs(value), 0.9683612, atol=1e-6)
    period = 2 * np.pi / abs(np.angle(value))
    np.testing.assert_allclose(period, 51.2927, rtol=1e-5)


def test_undamped_oscillator_keeps_area_and_energy() -> None:
    hparams, params = make("dense", (1,), learned=(), alpha=0.0)
    params = jax.tree.map(np.zeros_like, params)
    np.testing.assert_allclose(np.linalg.det(_jacobian(hparams, params)), 1, atol=1e-6)
    with jax.enable_x64(True):
        params = numerics.to_float64(params)
        state = OscillatorState(jnp.ones((1, 1)), jnp.zeros((1, 1)))
        _, (x, v) = unroll.unroll(
            lambda s, d: oscillator.step(hparams, params, s, d),
            state,
            jnp.zeros((1, 500, 1)),
        )
        np.testing.assert_allclose(x**2 - hparams.dt * x * v + v**2, 1.0, atol=1e-12)


def test_linear_stability_at_the_start_of_training() -> None:
    """Eigenvalues of one step for the mean kernels, 1/9 everywhere.

    A Fourier mode on which the couplings act as the number w has
    ``v' = (1 + dt (w - alpha)) v + dt (w - gamma) x`` and ``x' = x + dt v'``. On lattices of 3
    cells with 3 taps the uniform mode has w = 1 (torus) or 1/3 (ring), all others w = 0.
    """
    result = {}
    for topology, size in [("torus", (3, 3)), ("ring", (1, 3))]:
        hparams, params = make(topology, size, learned=())
        kernel = np.full_like(params.coupling_x, 1 / 9)
        values = np.linalg.eigvals(
            _jacobian(hparams, params._replace(coupling_x=kernel, coupling_v=kernel))
        )
        result[topology] = values[np.argsort(-abs(values))]
    torus, ring = result["torus"], result["ring"]
    # The torus is anti-damped: only the tanh keeps its uniform mode bounded.
    np.testing.assert_allclose(torus[:2].real, [1.0623, 1.0], atol=5e-5)
    np.testing.assert_allclose(torus[:2].imag, 0.0, atol=1e-6)
    np.testing.assert_allclose(abs(torus[2:]), 0.96836, atol=1e-5)
    np.testing.assert_allclose(abs(ring[:2]), 0.98957, atol=1e-5)
    np.testing.assert_allclose(abs(ring[2:]), 0.96836, atol=1e-5)
    for values, period in [(ring[:2], 61.8), (ring[2:], 51.29), (torus[2:], 51.29)]:
        np.testing.assert_allclose(2 * np.pi / abs(np.angle(values)), period, atol=0.05)


@pytest.mark.parametrize("topology", ["ring", "torus"])
def test_plane_wave_travels_at_the_analytic_speed(topology: str) -> None:
    """Linear, undamped, x coupled to its neighbours as by springs of strength c.

    With taps (c, -2c, c) in each direction and no coupling of v, the mode cos(k j) feels
    the force ``-W^2 x`` where ``W^2 = gamma + 2 c sum_directions (1 - cos k)``. The step is
    then ``x_{t+1} - 2 x_t + x_{t-1} = -(dt W)^2 x_t``, which a wave cos(k j - omega t) solves
    if ``sin(omega / 2) = dt W / 2``. Its speed is omega / k cells a step.
    """
    strength, gamma, dt, steps = 0.7, 0.3, 0.2, 90
    size = (3, 24) if topology == "ring" else (15, 24)
    hparams, params = make(
        topology, size, activation="identity", learned=(), dt=dt, gamma=gamma, alpha=0.0
    )
    taps = strength * np.array([1.0, -2.0, 1.0])
    if topology == "ring":
        # Each ring has a wave of its own; the last one runs to the left.
        numbers = 2 * np.pi * np.array([1, 3, -2]) / 24
        kernel = taps[:, None, None]
        phase = numbers[:, None] * np.arange(24)
        frequency_square = gamma + 2 * strength * (1 - np.cos(numbers))[:, None]
    else:
        numbers = 2 * np.pi * np.array([2 / 15, -3 / 24])
        kernel = np.zeros((3, 3))
        kernel[1, :] += taps
        kernel[:, 1] += taps
        kernel = kernel[..., None, None]
        phase = numbers[0] * np.arange(15)[:, None] + numbers[1] * np.arange(24)
        frequency_square = gamma + 2 * strength * np.sum(1 - np.cos(numbers))
    omega = 2 * np.arcsin(dt * np.sqrt(frequency_square) / 2)

    def wave(time: float) -> np.ndarray:
        return np.cos(phase - omega * time)[None, ..., None]

    with jax.enable_x64(True):
        params = numerics.to_float64(
            params._replace(coupling_x=kernel, coupling_v=0 * kernel)
        )
        _, states = unroll.unroll(
            lambda s, d: oscillator.step(hparams, params, s, d),
            OscillatorState(jnp.asarray(wave(0)), jnp.asarray(wave(0) - wave(-1)) / dt),
            jnp.zeros((1, steps, *hparams.field_shape)),
        )
        field = np.asarray(states.x)
    for time in range(1, steps + 1):
        np.testing.assert_allclose(field[:, time - 1], wave(time), atol=1e-10)
    if topology == "ring":
        # And as one would measure it: by the drift of the phase of the Fourier mode.
        modes = np.fft.fft(field[0, ..., 0], axis=-1)
        for ring, number in enumerate([1, 3, -2]):
            drift = np.diff(np.unwrap(np.angle(modes[:, ring, number])))
            speed = -drift / numbers[ring]
            np.testing.assert_allclose(speed, omega[ring, 0] / numbers[ring])
            assert np.sign(number) == np.sign(speed[0])


GRADIENT_FIELDS = {
    "torus": ("torus", (3, 4), {"channels": 2}),
    "ring, dense forcing": ("ring", (2, 4), {"forcing": "dense"}),
    "dense": ("dense", (5,), {}),
}


@pytest.mark.parametrize("name", GRADIENT_FIELDS)
def test_gradients_of_twenty_steps(name: str) -> None:
    topology, size, options = GRADIENT_FIELDS[name]
    hparams, params = make(topology, size, input_channels=2, **options)
    shape = hparams.field_shape
    inputs_shape = {"dense": (2 * shape[0],)}.get(topology, (*shape[:-1], 2))
    if hparams.forcing == "dense":
        inputs_shape = (2,)
    with jax.enable_x64(True):
        tree = numerics.to_float64(
            (
                params,
                random_state(hparams),
                numerics.fill((2, 20, *inputs_shape), 9, 2),
            )
        )

        def loss(tree: tuple) -> jax.Array:
            params, state, inputs = tree
            last, states = unroll.unroll(
                lambda s, d: oscillator.step(hparams, params, s, d),
                state,
                oscillator.drive(hparams, params, inputs),
            )
            return jnp.mean(states.x**2) + jnp.mean(jnp.sin(states.v)) + last.x.sum()

        numerics.check_gradients(loss, tree)

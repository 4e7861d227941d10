"""The wave RNN: spikes that travel, numbers of the original, what is drawn at first."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import wave
from nwm_jax.core.wave import WaveHParams, WaveParams
from nwm_jax.errors import UserError
from tests.helpers import numerics

RING = WaveHParams(*("ring", 8, 1, 2), activation="identity", zero_coupling_bias=True)


# A generator that compiles quickly.
KEY = jax.random.key(0, impl="rbg")
step = jax.jit(wave.step, static_argnums=0)


def draw(hparams: WaveHParams) -> WaveParams:
    return jax.tree.map(np.asarray, wave.init_params(KEY, hparams))


@pytest.fixture(scope="module")
def run():
    """States after every step, compiled: (hparams, params, inputs) -> [B, T, ...]."""

    def states(hparams, params, inputs):
        start = wave.initial_state(hparams, inputs.shape[0])
        return wave.run(hparams, params, start, inputs)[1]

    compiled = jax.jit(states, static_argnums=0)
    return lambda *args: np.asarray(compiled(*args))


def sequence(*values: float, length: int = 0) -> np.ndarray:
    padded = np.zeros((1, max(length, len(values)), 1), np.float32)
    padded[0, : len(values), 0] = values
    return padded


def test_a_spike_moves_one_place_a_step(run):
    params = draw(RING)
    np.testing.assert_array_equal(np.argwhere(params.coupling), [[2, 0, 0], [2, 1, 1]])
    states = run(RING, params, sequence(1.0, length=18))[0]
    for time in range(18):
        expected = np.zeros((8, 2))
        expected[-time % 8] = 1.0
        np.testing.assert_array_equal(states[time], expected)


def test_a_spike_in_a_dense_state_goes_round_all_units(run):
    hparams = dataclasses.replace(RING, topology="dense", units=4)
    params = draw(hparams)
    np.testing.assert_array_equal(np.flatnonzero(params.forcing[0]), [0, 4])
    hears = sorted((int(i), int(j)) for j, i in np.argwhere(params.coupling))
    assert hears == [*((i, i + 1) for i in range(7)), (7, 0)]
    states = run(hparams, params, sequence(1.0, length=3))[0]
    np.testing.assert_array_equal(np.argwhere(states), [[0, 0], [0, 4], [1, 3], [1, 7], [2, 2], [2, 6]])  # fmt: skip


def test_a_ring_is_a_register_that_adds_after_a_turn(run):
    states = run(RING, draw(RING), sequence(*range(1, 12)))[0]
    for channel in range(2):
        np.testing.assert_array_equal(states[7, :, channel], [8, 1, 2, 3, 4, 5, 6, 7])
        np.testing.assert_array_equal(
            states[10, :, channel], [14, 4, 5, 6, 7, 8, 10, 12]
        )


def test_the_identity_keeps_in_place(run):
    hparams = WaveHParams(
        "dense", units=8, inputs=1, activation="identity", coupling_init="identity"
    )
    np.testing.assert_array_equal(
        run(hparams, draw(hparams), sequence(1, 2, 3))[0, -1], [6, 0, 0, 0, 0, 0, 0, 0]
    )


def test_symbols_of_the_copy_task_are_one_at_first(run):
    """V starts as a sum over the inputs: whatever the symbols, rings hold counts."""
    hparams = dataclasses.replace(RING, units=100, inputs=10, channels=6)
    symbols = np.random.default_rng(0).integers(10, size=(2, 110))
    states = run(hparams, draw(hparams), np.eye(10, dtype=np.float32)[symbols])
    expected = np.ones((2, 100, 6))
    expected[:, [0, *range(91, 100)]] = 2.0
    np.testing.assert_array_equal(states[:, -1], expected)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (
            "identity",
            [
                [1.775, 1.975, -0.5, 2.025, 1.925],
                [2.225, 1.825, -3.65, 2.475, 1.775],
            ],
        ),
        (
            "relu",
            [[1.775, 1.975, 0, 2.025, 1.925], [2.225, 1.825, 0, 2.475, 1.775]],
        ),
        (
            "tanh",
            [
                [0.944155, 0.962218, -0.462117, 0.965752, 0.958327],
                [0.976912, 0.949335, -0.99865, 0.985933, 0.944155],
            ],
        ),
    ],
)
def test_numbers_of_the_original(activation, expected):
    """One step with all weights different; the original orders by channel, place."""
    hparams = WaveHParams("ring", 5, 2, channels=2, activation=activation)
    o, i, j = np.ogrid[:2, :2, :3]
    q, r = np.ogrid[:10, :2]
    flat = np.arange(10)
    place = np.arange(5)
    forcing = ((2 * q + r - 10) / 10).reshape(2, 5, 2)
    params = WaveParams(
        forcing=forcing.transpose(2, 1, 0),
        bias=((flat - 5) / 20).reshape(2, 5).T,
        coupling=((6 * o + 3 * i + j + 1) / 10).transpose(2, 1, 0),
        coupling_bias=np.array([0.5, -0.25]),
    )
    params = jax.tree.map(np.float32, params)
    state = (5 * np.ogrid[:2, :1][0] + place + 1) * (-1.0) ** place / 4
    state = np.float32(state.T[None])
    drive = wave.drive(hparams, params, np.float32([[1.0, -2.0]]))
    result = step(hparams, params, state, drive)[0].T
    np.testing.assert_allclose(result, expected, atol=1e-6)
    if activation == "identity":
        coupled = step(hparams, params, state, 0 * drive)[0].T
        np.testing.assert_allclose(
            coupled,
            [[1.225, 1.575, -0.75, 1.925, 1.975], [2.425, 2.175, -3.15, 3.125, 2.575]],
            atol=1e-6,
        )


def test_a_bias_ends_or_fills_the_memory_under_relu(run):
    hparams = dataclasses.replace(RING, units=16, channels=1, activation="relu")
    params = draw(hparams)
    spike = sequence(1.0, length=11)
    dying = run(hparams, params._replace(coupling_bias=np.float32([-0.125])), spike)
    expected = np.zeros((11, 16))
    for time in range(7):
        expected[time, -time % 16] = 0.875 - 0.125 * time
    np.testing.assert_array_equal(dying[0, :, :, 0], expected)
    filled = run(hparams, params._replace(coupling_bias=np.float32([0.125])), spike)
    expected = np.full(16, 1.25)
    expected[7] = 2.25
    np.testing.assert_array_equal(filled[0, 9, :, 0], expected)


def test_half_a_place_a_step_spreads_binomially(run):
    hparams = dataclasses.replace(RING, channels=1, speed=0.5)
    states = run(hparams, draw(hparams), sequence(1.0, length=5))[0, -1, :, 0]
    np.testing.assert_allclose(
        states, np.array([1, 0, 0, 0, 1, 4, 6, 4]) / 16, rtol=1e-7
    )


@pytest.mark.parametrize(
    ("topology", "kind", "size", "tap"),
    [
        ("ring", "shift", 1, 0),
        ("ring", "shift", 5, 3),
        ("ring", "shift", 7, 4),
        ("ring", "identity", 5, 2),
        ("local", "shift", 5, 3),
    ],
)
def test_the_shift_sits_after_the_middle_of_a_kernel(topology, kind, size, tap):
    hparams = dataclasses.replace(
        RING, topology=topology, units=7, kernel_size=size, coupling_init=kind
    )
    params = draw(hparams)
    kernels = params.coupling if topology == "ring" else params.coupling[3]
    np.testing.assert_array_equal(np.argwhere(kernels), [[tap, 0, 0], [tap, 1, 1]])
    state = np.arange(14.0, dtype=np.float32).reshape(1, 7, 2)
    moved = step(hparams, params, state, np.float32(0))
    expected = np.roll(state, -1 if tap > size // 2 else 0, axis=1)
    np.testing.assert_array_equal(moved, expected)


def test_local_kernels_give_the_originals_numbers():
    hparams = WaveHParams("local", 6, 1, channels=2, activation="identity")
    o, i, p, j = np.ogrid[:2, :2, :6, :3]
    weights = (36 * o + 18 * i + 3 * p + j) / 100
    params = draw(hparams)._replace(coupling=np.float32(weights.transpose(2, 3, 1, 0)))
    state = np.arange(1.0, 13.0, dtype=np.float32).reshape(1, 2, 6).swapaxes(1, 2)
    result = step(hparams, params, state, np.float32(0))[0].T
    expected = [
        [5.14, 5.56, 7.42, 9.64, 12.22, 12.04],
        [18.1, 16.36, 20.38, 24.76, 29.5, 27.16],
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_one_channel_takes_the_short_way_to_the_same_numbers():
    """A second channel that hears and says nothing changes nothing."""
    one = WaveHParams("ring", 6, 1, 1, 5, "tanh", "random")
    params = draw(one)
    wide = WaveParams(
        *(np.pad(p, [*[(0, 0)] * (p.ndim - 1), (0, 1)]) for p in params[:2]),
        np.pad(params.coupling, ((0, 0), (0, 1), (0, 1))),
        np.pad(params.coupling_bias, (0, 1)),
    )
    state, drive = np.random.default_rng(0).standard_normal((2, 3, 6, 1), np.float32)
    result = step(one, params, state, drive)
    padded = [np.pad(a, ((0, 0), (0, 0), (0, 1))) for a in (state, drive)]
    two = step(dataclasses.replace(one, channels=2), wide, *padded)
    np.testing.assert_allclose(result, two[..., :1], atol=1e-6)


def test_the_shift_neither_grows_nor_fades():
    """1,000 steps with identity activation: norms of states and gradients are kept."""
    hparams = dataclasses.replace(RING, units=32, channels=3)
    params = draw(hparams)._replace(bias=np.zeros((32, 3), np.float32))
    silence = np.zeros((2, 1000, 1), np.float32)
    state, weights = np.random.default_rng(0).standard_normal((2, 2, 32, 3), np.float32)

    @jax.jit
    def both(scale):
        scaled = params._replace(coupling=scale * params.coupling)
        last, pull = jax.vjp(lambda h: wave.run(hparams, scaled, h, silence)[0], state)
        return last, pull(weights)[0]

    last, gradient = both(1.0)
    np.testing.assert_array_equal(last, np.roll(state, -1000 % 32, axis=1))
    np.testing.assert_array_equal(gradient, np.roll(weights, 1000 % 32, axis=1))
    # A kernel 0.4 % weaker or stronger: exp(-4) and exp(4) after 1,000 steps.
    for scale in (0.996, 1.004):
        for result, before in zip(both(scale), (state, weights), strict=False):
            ratio = np.linalg.norm(result) / np.linalg.norm(before)
            np.testing.assert_allclose(ratio, scale**1000.0, rtol=1e-3)


def test_gradients_through_1000_steps_agree_with_float64():
    hparams = WaveHParams("ring", 9, 1, channels=2, activation="tanh")
    params = draw(hparams)
    inputs = np.random.default_rng(0).uniform(-1, 1, (2, 1000, 1))

    @jax.jit
    @jax.grad
    def gradient(params, inputs):
        start = wave.initial_state(hparams, 2, inputs.dtype)
        last, _ = wave.run(hparams, params, start, inputs)
        return jnp.mean(jnp.sin(last))

    result = gradient(params, np.float32(inputs))
    with jax.enable_x64(True):
        exact = gradient(numerics.to_float64(params), inputs)
    for single, double in zip(result, exact, strict=False):
        double = np.asarray(double)
        error = np.linalg.norm(np.asarray(single, np.float64) - double)
        assert error <= 1e-4 * np.linalg.norm(double)


def bounds(array, limit):
    """Uniform in ±limit, judged by the extremes and the spread of many numbers."""
    assert np.abs(array).max() <= limit
    tolerance = 2 / np.sqrt(array.size)
    np.testing.assert_allclose(array.std(), limit / np.sqrt(3), rtol=tolerance)


def test_initial_weights_follow_the_original():
    ring = WaveHParams("ring", 40, 3, 20, 5, "relu", "random", "uniform")
    params = draw(ring)
    bounds(params.coupling, 0.1)
    bounds(params.coupling_bias, 0.1)
    bounds(params.forcing, 1 / np.sqrt(3))
    bounds(params.bias, 1 / np.sqrt(3))
    normal = draw(dataclasses.replace(ring, input_init="normal"))
    np.testing.assert_allclose(np.std(normal.forcing), 1e-3, rtol=0.05)
    bounds(normal.bias, 1 / np.sqrt(3))
    # The bias of a ring is drawn even for a shift, unless it is asked not to be.
    shift = dataclasses.replace(ring, coupling_init="shift", input_init="single")
    params = draw(shift)
    bounds(params.coupling_bias, 0.1)
    assert not params.bias.any()
    np.testing.assert_array_equal(params.forcing[:, 0], np.ones((3, 20)))
    assert params.forcing.sum() == 60
    silent = draw(dataclasses.replace(shift, zero_coupling_bias=True))
    assert not silent.coupling_bias.any()


def test_initial_weights_of_dense_and_local_couplings():
    dense = WaveHParams("dense", 50, 1, 2, coupling_init="random")
    params = draw(dense)
    bounds(params.coupling, 0.1)
    bounds(params.coupling_bias, 0.1)
    for kind in ("identity", "shift"):
        params = draw(dataclasses.replace(dense, coupling_init=kind))
        assert not params.coupling_bias.any()
    local = draw(WaveHParams("local", 6, 1, 2, coupling_init="random"))
    assert local.coupling.shape == (6, 3, 2, 2)
    bounds(local.coupling, 0.2357023)
    assert local.coupling_bias.shape == (6, 2) and not local.coupling_bias.any()


def test_frozen_parts_have_no_gradient():
    hparams = dataclasses.replace(RING, frozen=["coupling"])
    params = draw(hparams)

    def loss(params, hparams):
        start = wave.initial_state(hparams, 1)
        return wave.run(hparams, params, start, sequence(1.0, 2.0))[0].sum()

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    result = gradient(params, hparams)
    assert not result.coupling.any() and not result.coupling_bias.any()
    assert result.forcing.any() and result.bias.any()
    result = gradient(params, dataclasses.replace(RING, frozen=("input",)))
    assert not result.forcing.any() and not result.bias.any()
    assert result.coupling.any() and result.coupling_bias.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"topology": "line"}, "topology 'line'; one of ring"),
        ({"activation": "gelu"}, "activation 'gelu'"),
        ({"coupling_init": "fwd"}, "coupling_init 'fwd'; one of shift"),
        ({"input_init": "solo"}, "input_init 'solo'; one of single"),
        ({"frozen": ("encoder",)}, "part to freeze 'encoder'"),
        ({"channels": 0}, "1 or more"),
        ({"kernel_size": 4}, "odd"),
        ({"kernel_size": 9}, "at most units=8"),
    ],
)
def test_wrong_descriptions(wrong, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(RING, **wrong)
    assert hash(dataclasses.replace(RING, frozen=["input"]))

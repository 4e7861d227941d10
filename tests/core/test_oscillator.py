"""One step of the field: numbers of the original program, loops, symmetries, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import errors
from nwm_jax.core import oscillator
from nwm_jax.core.oscillator import OscillatorHParams, OscillatorParams, OscillatorState
from tests.helpers import numerics
from tests.helpers.oscillator_fields import (
    couple_by_loops,
    make,
    random_state,
)

SIZES = {"torus": (3, 4), "ring": (3, 4), "dense": (12,)}
KERNELS = {"torus": (3, 3, 1, 1), "ring": (3, 1, 1), "dense": (12, 12)}
# The first four numbers of the flat state (x and v interleaved) and its sum, after one
# and after ten steps, computed by the original program.
NUMBERS = {
    "torus": (
        ([0.7896124, -0.7979438, -0.5652350, -0.2333180], 0.6770325),
        ([0.1958004, -0.3067238, -0.8372924, -0.1788475], -1.158483),
    ),
    "ring": (
        ([0.7636704, -1.0062246, -0.5577010, -0.1728300], 0.779393),
        ([-0.6564487, -1.0777877, -0.4222198, 0.3857590], -1.082697),
    ),
    "dense": (
        ([0.7896060, -0.7979957, -0.5371146, -0.0075485], 1.3049213),
        ([0.2933452, -0.1218700, 0.2051626, 0.9160504], 3.5572006),
    ),
}


@pytest.mark.parametrize("topology", SIZES)
def test_numbers_of_the_original(topology: str) -> None:
    hparams = OscillatorHParams(topology, SIZES[topology])
    shape = hparams.field_shape
    params = make(topology, SIZES[topology])[1]._replace(
        gamma=np.float32(1.0),
        alpha=np.float32(0.5),
        coupling_x=numerics.fill(KERNELS[topology], 0),
        coupling_v=numerics.fill(KERNELS[topology], 1),
        forcing=numerics.fill(KERNELS[topology], 2),
        bias=numerics.fill(shape, 3),
    )
    drive = oscillator.drive(
        hparams, params, numerics.fill((1, 12), 4, 2).reshape(1, *shape)
    )
    flat = numerics.fill((1, 24), 5, 2).reshape(1, *shape, 2)
    state = OscillatorState(flat[..., 0], flat[..., 1])
    step = jax.jit(oscillator.step, static_argnums=0)
    for number in range(1, 11):
        state = step(hparams, params, state, drive)
        if number in (1, 10):
            flat = jnp.stack(state, axis=-1).reshape(-1)
            first, total = NUMBERS[topology][number != 1]
            np.testing.assert_allclose(flat[:4], first, atol=2e-5)
            np.testing.assert_allclose(flat.sum(), total, atol=2e-5)


CASES = {
    "torus": {"topology": "torus", "size": (4, 5)},
    "torus, wide, channels": {
        "topology": "torus",
        "size": (5, 6),
        "channels": 2,
        "input_channels": 3,
        "kernel_size": 5,
    },
    "torus, one cell": {
        "topology": "torus",
        "size": (2, 3),
        "channels": 3,
        "kernel_size": 1,
    },
    "ring": {"topology": "ring", "size": (3, 5), "activation": "relu"},
    "ring, wide, channels": {
        "topology": "ring",
        "size": (2, 6),
        "channels": 2,
        "input_channels": 3,
        "kernel_size": 5,
    },
    "dense": {"topology": "dense", "size": (6,)},
    "dense, two inputs": {"topology": "dense", "size": (5,), "input_channels": 2},
    "dense forcing of a torus": {
        "topology": "torus",
        "size": (3, 4),
        "channels": 2,
        "input_channels": 7,
        "forcing": "dense",
    },
    "dense forcing of a ring": {
        "topology": "ring",
        "size": (3, 4),
        "input_channels": 7,
        "forcing": "dense",
    },
    "dense forcing, dense": {
        "topology": "dense",
        "size": (5,),
        "input_channels": 3,
        "forcing": "dense",
    },
    "identity forcing": {
        "topology": "torus",
        "size": (3, 4),
        "channels": 2,
        "input_channels": 2,
        "forcing": "identity",
    },
    "identity, one input for all channels": {
        "topology": "ring",
        "size": (3, 4),
        "channels": 2,
        "forcing": "identity",
    },
    "fixed numbers": {
        "topology": "torus",
        "size": (3, 4),
        "learned": ("dt",),
        "gamma": 2.0,
        "alpha": 0.1,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_step_against_numpy(name: str) -> None:
    hparams, params = make(**CASES[name])
    shape = hparams.field_shape
    inputs_shape = {
        "dense": (hparams.input_channels,),
        "identity": (*shape[:-1], hparams.input_channels),
        "coupling": (*shape[:-1], hparams.input_channels)
        if hparams.topology != "dense"
        else (hparams.size[0] * hparams.input_channels,),
    }[hparams.forcing]
    inputs = numerics.fill((2, *inputs_shape), 7, 4)
    x, v = state = random_state(hparams)

    # The equations again, in NumPy and in double precision.
    weights = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    if hparams.forcing == "identity":
        force = inputs + weights.bias
    elif hparams.forcing == "dense":
        force = (inputs @ weights.forcing).reshape(2, *shape) + weights.bias
    else:
        force = couple_by_loops(hparams.topology, inputs, weights.forcing)
        force = force + weights.bias
    external = force
    force = force + couple_by_loops(hparams.topology, x, weights.coupling_x)
    force = force + couple_by_loops(hparams.topology, v, weights.coupling_v)
    dt = 1.0 / (1.0 + np.exp(-weights.dt))
    gamma = hparams.gamma if weights.gamma is None else max(weights.gamma, 0.0)
    alpha = hparams.alpha if weights.alpha is None else max(weights.alpha, 0.0)
    bounded = np.tanh(force) if hparams.activation == "tanh" else np.maximum(force, 0)
    v_next = v + dt * (bounded - gamma * x - alpha * v)
    x_next = x + dt * v_next

    @jax.jit
    def run(params: OscillatorParams) -> tuple:
        drive = oscillator.drive(hparams, params, inputs)
        return drive, oscillator.step(hparams, params, state, drive)

    drive, result = run(params)
    np.testing.assert_allclose(
        np.broadcast_to(drive, (2, *shape)),
        np.broadcast_to(external, (2, *shape)),
        atol=2e-5,
    )
    np.testing.assert_allclose(result.x, x_next, atol=2e-5)
    np.testing.assert_allclose(result.v, v_next, atol=2e-5)


@pytest.mark.parametrize("topology", SIZES)
def test_constants_may_be_arrays(topology: str) -> None:
    hparams, params = make(topology, SIZES[topology], learned=("dt",))
    rng = np.random.default_rng(1)
    gamma, alpha = rng.uniform(0.5, 2.0, (2, *hparams.field_shape)).astype(np.float32)
    x, v = state = random_state(hparams)
    drive = jnp.zeros((2, *hparams.field_shape))
    step = jax.jit(oscillator.step, static_argnums=0)
    result = step(hparams, params._replace(gamma=gamma, alpha=alpha), state, drive)
    free = step(
        hparams, params._replace(gamma=0 * gamma, alpha=0 * alpha), state, drive
    )
    dt = 1.0 / (1.0 + np.exp(1.95))
    np.testing.assert_allclose(
        result.v, free.v - dt * (gamma * x + alpha * v), atol=1e-6
    )
    np.testing.assert_allclose(result.x, x + dt * result.v, atol=1e-6)


def test_learned_constants_are_constrained() -> None:
    hparams, params = make("torus", (3, 3))
    params = params._replace(
        gamma=jnp.float32(-1.0), alpha=jnp.float32(-0.5), dt=jnp.float32(30.0)
    )
    result = oscillator.constants(hparams, params)
    assert float(result["gamma"]) == 0.0 and float(result["alpha"]) == 0.0
    assert float(result["dt"]) <= 1.0


def test_vmap_over_weights_and_jit() -> None:
    fields = [make("torus", (3, 4), seed, channels=2) for seed in range(3)]
    hparams = fields[0][0]
    many = jax.tree.map(lambda *a: np.stack(a), *(params for _, params in fields))
    state = random_state(hparams)
    drive = numerics.fill((2, 3, 4, 2), 0)
    step = jax.jit(lambda p: oscillator.step(hparams, p, state, drive))
    result = jax.vmap(step)(many)
    for i, (_, params) in enumerate(fields):
        one = step(params)
        np.testing.assert_allclose(result.x[i], one.x, atol=1e-6)
        np.testing.assert_allclose(result.v[i], one.v, atol=1e-6)


def test_initial_state_and_drive_of_many_times() -> None:
    hparams, params = make("ring", (3, 5), channels=2, input_channels=4)
    state = oscillator.initial_state(hparams, 7)
    assert state.x.shape == state.v.shape == (7, 3, 5, 2)
    assert not state.x.any() and not state.v.any()
    inputs = numerics.fill((2, 6, 3, 5, 4), 0)
    drive = jax.jit(oscillator.drive, static_argnums=0)
    drives = drive(hparams, params, inputs)
    assert drives.shape == (2, 6, 3, 5, 2)
    np.testing.assert_allclose(
        drives[:, 4], drive(hparams, params, inputs[:, 4]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"topology": "sphere"}, "topology 'sphere'; one of dense, ring, torus"),
        ({"topology": "dense"}, "dense field is one"),
        ({"topology": "dense", "size": (4,), "channels": 2}, "no channels"),
        ({"size": (4,)}, "torus field is two integers"),
        ({"size": 8}, r"\(height, width\), not 8"),
        ({"size": (4.0, 4)}, "two integers"),
        ({"kernel_fill": float("nan")}, "kernel_fill must be a number"),
        ({"alpha": float("inf"), "learned": ()}, "alpha must be a number"),
        ({"size": (0, 4)}, "1 or more"),
        ({"channels": 0}, "1 or more"),
        ({"kernel_size": 4}, "odd"),
        ({"kernel_size": 7}, "at most 5"),
        ({"kernel_size": -1}, "odd"),
        ({"forcing": "none"}, "forcing 'none'; one of coupling"),
        ({"forcing": "identity", "channels": 3, "input_channels": 2}, "identity"),
        ({"activation": "sine"}, "activation 'sine'; one of tanh"),
        ({"learned": ("beta",)}, "constant 'beta'; one of dt, gamma, alpha"),
        ({"dt": 1.5}, r"inside \(0, 1\)"),
        ({"gamma": -1.0}, "gamma"),
        ({"alpha": -1.0}, "alpha"),
    ],
)
def test_wrong_descriptions(wrong: dict, message: str) -> None:
    right = {"topology": "torus", "size": (5, 6)}
    OscillatorHParams(**right)
    with pytest.raises(errors.UserError, match=message):
        OscillatorHParams(**(right | wrong))


def test_description_from_lists_is_hashable() -> None:
    one = OscillatorHParams("torus", [3, 4], learned=["dt"])
    assert one == OscillatorHParams("torus", (3, 4), learned=("dt",))
    assert hash(one) == hash(OscillatorHParams("torus", (3, 4), learned=("dt",)))

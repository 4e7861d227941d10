"""Cells of long sequences: the contract of `nnx.RNN`, symmetries, initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.core.wave import WaveHParams
from nwm_jax.errors import UserError
from nwm_jax.models import sequences
from nwm_jax.modules import devices, functional
from nwm_jax.modules.chunks import chunk_size
from nwm_jax.modules.sequence_cells import WaveRNNCell
from tests.helpers.filled_models import filled

# A generator that compiles quickly.
KEY = jax.random.key(0, impl="rbg")
CONSTANTS = {"dt": 0.1, "gamma": 1.3, "alpha": 2.0}


def oscillators(kind, size, inputs=2, draw=False, **options):
    def build():
        return sequences.oscillators(
            kind, size, inputs, **CONSTANTS, **options, rngs=nnx.Rngs(KEY)
        )

    return build() if draw else filled(build)


def waves(topology):
    hparams = WaveHParams(topology, 5, 2, 3)
    return filled(lambda: WaveRNNCell(hparams, rngs=nnx.Rngs(0)))


CELLS = {
    "ring": lambda: waves("ring"),
    "dense": lambda: waves("dense"),
    "cornn": lambda: oscillators("cornn", (6,)),
    "nwm2d": lambda: oscillators("nwm2d", (3, 4), channels=2),
}


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("name", CELLS)
def test_cells_run_in_nnx_rnn_as_by_themselves(name, inputs):
    cell = CELLS[name]()
    fields = jax.jit(lambda rnn, x: rnn(x))(nnx.RNN(cell), inputs)

    @jax.jit
    def unroll(cell, x):
        start = cell.initialize_carry((2, 2))
        last, states = cell.unroll(start, x)
        return cell.readable(last), cell.readable(states), cell.field(states)

    last, flat, placed = unroll(cell, inputs)
    assert flat.shape == (2, 4, cell.num_outputs)
    np.testing.assert_allclose(flat, fields.reshape(flat.shape), atol=1e-6)
    np.testing.assert_array_equal(last, flat[:, -1])
    if name == "dense":  # stored by channel, then place
        assert placed.shape == (2, 4, 5, 3)
        np.testing.assert_array_equal(placed.swapaxes(2, 3).reshape(flat.shape), flat)
    else:
        np.testing.assert_array_equal(placed.reshape(flat.shape), flat)
    with pytest.raises(
        UserError, match=r"takes inputs \[..., 2\], but got \(2, 4, 1\)"
    ):
        cell.unroll(None, inputs[..., :1])


def couple(cell, **weights):
    for name, value in weights.items():
        getattr(cell, name)[...] = jnp.asarray(value, jnp.float32)
    return cell


def last_positions(cell, inputs):
    run = jax.jit(lambda cell, x: cell.unroll(cell.initialize_carry((2, 2)), x)[0].x)
    return np.asarray(run(cell, inputs))


def test_a_torus_is_a_cornn_with_circulant_weights(inputs):
    torus = oscillators("nwm2d", (3, 4))
    field = np.eye(12, dtype=np.float32).reshape(12, 3, 4)
    expanded = {}
    for name in ("coupling_x", "coupling_v"):
        kernel = np.asarray(getattr(torus, name)[...])[..., 0, 0]
        # Row m: what a lone 1 at cell m does to all cells.
        expanded[name] = sum(
            kernel[a, b] * np.roll(field, (1 - a, 1 - b), axis=(1, 2))
            for a in range(3)
            for b in range(3)
        ).reshape(12, 12)
    bias = np.asarray(torus.params.bias).ravel()
    dense = couple(
        oscillators("cornn", (12,)), forcing=torus.forcing[...], bias=bias, **expanded
    )
    np.testing.assert_allclose(
        last_positions(torus, inputs).reshape(2, 12),
        last_positions(dense, inputs),
        atol=1e-6,
    )


def test_lone_middle_taps_are_uncoupled(inputs):
    torus = oscillators("nwm2d", (3, 4))
    middle = np.zeros((3, 3, 1, 1))
    middle[1, 1] = 1.0
    couple(torus, coupling_x=middle, coupling_v=middle)
    alone = couple(
        oscillators("uncoupled", (1, 12)),
        forcing=torus.forcing[...],
        bias=np.asarray(torus.params.bias).reshape(1, 12, 1),
    )
    np.testing.assert_allclose(
        last_positions(torus, inputs).reshape(2, 12),
        last_positions(alone, inputs).reshape(2, 12),
        atol=1e-6,
    )


def test_parts_of_a_batch_add_up(monkeypatch, inputs):
    """Where all examples do not fit into the cache they are taken in turn."""
    graphdef, params, rest = functional.split(oscillators("nwm2d", (4, 6), channels=3))
    inputs = np.concatenate([inputs, -inputs])

    def gradients():
        def loss(params, inputs):
            cell = functional.merge(graphdef, params, rest)
            last, states = cell.unroll(cell.initialize_carry((4, 2)), inputs)
            return jnp.mean(jnp.sin(3 * states.x)) + jnp.mean(last.v)

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, inputs)

    whole = gradients()
    monkeypatch.setattr(devices, "_CACHE_NUMBERS", 3 * 9 * 2 * 4 * 6 * 3)
    sizes = []
    monkeypatch.setattr(
        devices, "chunk_size", lambda *a: sizes.append(chunk_size(*a)) or sizes[-1]
    )
    parts = gradients()
    assert sizes == [2]
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def check_uniform(array, limit):
    array = np.asarray(array)
    assert np.abs(array).max() <= limit
    tolerance = 2 / np.sqrt(array.size)
    np.testing.assert_allclose(array.std(), limit / np.sqrt(3), rtol=tolerance)


def test_initial_weights_are_those_of_pytorchs_layers():
    cornn = oscillators("cornn", (48,), inputs=48, draw=True)
    for name in ("coupling_x", "coupling_v", "forcing", "bias"):
        check_uniform(getattr(cornn, name)[...], 1 / 12)
    torus = oscillators("nwm2d", (5, 5), inputs=4, channels=16, draw=True)
    for name in ("coupling_x", "coupling_v", "bias_x", "bias_v"):
        check_uniform(getattr(torus, name)[...], 1 / 12)
    for name in ("forcing", "bias"):
        check_uniform(getattr(torus, name)[...], 0.5)


def test_scalars_of_uncoupled_oscillators_are_trained_if_asked():
    frozen = oscillators("uncoupled", (1, 5))
    trained = oscillators("uncoupled", (1, 5), train_scalars=True, draw=True)
    assert frozen.coupling_x is None
    for cell in (frozen, trained):
        assert cell.params.coupling_x.shape == (1, 1, 1)
        assert float(cell.params.coupling_v[0, 0, 0]) == 1.0
    assert isinstance(trained.coupling_x, nnx.Param)


def test_unknown_kinds_are_refused():
    with pytest.raises(UserError, match="unknown kind of cell 'lstm'"):
        oscillators("lstm", (5,))


@pytest.mark.parametrize(
    "constants", [(3.0, 2.7, 4.7), (0.1, -1.0, 0.5), (0.1, 1.0, -0.5), (0.0, 1.0, 0.5)]
)
def test_constants_with_which_oscillators_grow(constants):
    dt, gamma, alpha = constants
    with pytest.raises(UserError, match="grow by themselves"):
        sequences.oscillators(
            "cornn", (4,), 2, dt=dt, gamma=gamma, alpha=alpha, rngs=nnx.Rngs(0)
        )
    # At the limit of what is allowed an oscillator does not grow, beyond it does.
    for sign in (-1, 1):
        dt, gamma = 0.5, 4.0
        alpha = (4 - dt * dt * gamma) / (2 * dt) + sign * 1e-3
        step = np.array([[1, dt], [0, 1]]) @ [[1, 0], [-dt * gamma, 1 - dt * alpha]]
        assert (np.abs(np.linalg.eigvals(step)).max() > 1) == (sign > 0)

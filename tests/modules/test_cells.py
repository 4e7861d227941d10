"""Cells as NNX modules: in `nnx.RNN`, with any batch axes, under every transform."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax import CoRNNCell, GRUCell, NWM1DCell, NWM2DCell, haiku_cores
from nwm_jax.core import gated, oscillator
from nwm_jax.core.unroll import unroll
from nwm_jax.errors import UserError
from nwm_jax.modules import functional

CELLS = {
    "nwm2d": (lambda: NWM2DCell((3, 4), rngs=nnx.Rngs(0)), (3, 4, 1)),
    "nwm2d, channels": (
        lambda: NWM2DCell((3, 4), channels=2, input_channels=3, rngs=nnx.Rngs(0)),
        (3, 4, 3),
    ),
    "nwm2d, dense input": (
        lambda: NWM2DCell((3, 4), forcing="dense", input_channels=5, rngs=nnx.Rngs(0)),
        (5,),
    ),
    "nwm1d": (lambda: NWM1DCell((3, 4), rngs=nnx.Rngs(0)), (3, 4, 1)),
    "cornn": (lambda: CoRNNCell(6, rngs=nnx.Rngs(0)), (6,)),
    "cornn, dense input": (
        lambda: CoRNNCell(6, forcing="dense", input_channels=2, rngs=nnx.Rngs(0)),
        (2,),
    ),
    "gru": (lambda: GRUCell(5, 6, rngs=nnx.Rngs(0)), (5,)),
}


@pytest.fixture(params=CELLS, scope="module")
def cell(request):
    make, shape = CELLS[request.param]
    return make(), shape


def draw(*shape):
    return jax.random.normal(jax.random.key(1), shape)


def compiled(function, cell, *arrays):
    """The result of ``function(cell, *arrays)``, as one program."""
    graphdef, params, state = functional.split(cell)

    @jax.jit
    def run(params, arrays):
        return function(functional.merge(graphdef, params, state), *arrays)

    return run(params, arrays)


def assert_close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_runs_unchanged_in_nnx_rnn(cell):
    """`nnx.RNN` equals our own unroll, which takes the drive out of the loop."""
    cell, shape = cell

    def both(cell, inputs):
        start = cell.initialize_carry((2, *shape))
        last, states = unroll(cell.step, start, cell.drive(inputs))
        states = states.x if hasattr(states, "x") else states
        return nnx.RNN(cell, return_carry=True)(inputs), (last, states)

    assert_close(*compiled(both, cell, draw(2, 5, *shape)))


def test_time_major_reverse_and_lengths_of_nnx_rnn(cell):
    cell, shape = cell

    def ways(cell, inputs):
        swapped = nnx.RNN(cell, time_major=True)(jnp.swapaxes(inputs, 0, 1))
        backwards = nnx.RNN(cell, reverse=True, keep_order=True)(inputs[:, ::-1])
        rnn = nnx.RNN(cell, return_carry=True)
        carry, _ = rnn(inputs, seq_lengths=jnp.array([5, 3]))
        short, _ = rnn(inputs[1:, :3])
        outputs = nnx.RNN(cell)(inputs)
        pairs = (
            (jnp.swapaxes(swapped, 0, 1), outputs),
            (backwards[:, ::-1], outputs),
            (jax.tree.map(lambda a: a[1:], carry), short),
        )
        return tuple(zip(*pairs, strict=True))

    assert_close(*compiled(ways, cell, draw(2, 5, *shape)))


def test_any_number_of_batch_axes(cell):
    cell, shape = cell

    def ways(cell, inputs):
        carry, _ = cell(cell.initialize_carry((2, 3, *shape)), inputs)
        flat, _ = cell(cell.initialize_carry((6, *shape)), inputs.reshape(6, *shape))
        single, _ = cell(cell.initialize_carry(shape), inputs[0, 0])
        return carry, flat, single

    carry, flat, single = compiled(ways, cell, draw(2, 3, *shape))
    assert_close(jax.tree.map(lambda a: a.reshape(6, *a.shape[2:]), carry), flat)
    assert_close(jax.tree.map(lambda a: a[0, 0], carry), single)


def test_jit_vmap_and_gradients(cell):
    cell, shape = cell
    graphdef, params, state = functional.split(cell)
    inputs = draw(3, 2, *shape)

    def loss(params, inputs):
        cell = functional.merge(graphdef, params, state)
        _, outputs = nnx.RNN(cell, return_carry=True)(inputs)
        return jnp.sum(outputs**2)

    gradient = jax.jit(jax.grad(loss))(params, inputs)
    each = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, inputs[:, None])
    for one, many in zip(jax.tree.leaves(gradient), jax.tree.leaves(each), strict=True):
        assert bool(jnp.any(one != 0))
        np.testing.assert_allclose(one, many.sum(axis=0), rtol=1e-4, atol=1e-5)


def test_drawn_carry(cell):
    cell, shape = cell
    normal = nnx.initializers.normal(1.0)
    carry = cell.initialize_carry((2, *shape), nnx.Rngs(carry=3), normal)
    rest = cell.initialize_carry((2, *shape))
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(rest), strict=True):
        assert a.shape == b.shape
        assert bool(jnp.all(b == 0)) and bool(jnp.any(a != 0))
    with pytest.raises(ValueError, match="rngs"):
        cell.initialize_carry((2, *shape), carry_init=normal)


def test_flat_states_interleave_x_and_v():
    """Number ((i W + j) C + c) 2 + k, k = 0 for x and 1 for v."""
    cell = NWM2DCell((3, 4), channels=2, rngs=nnx.Rngs(0))
    state = oscillator.OscillatorState(draw(2, 3, 4, 2), draw(2, 3, 4, 2) + 1)
    flat = cell.flatten(state)
    assert flat.shape == (2, cell.state_size) == (2, 48)
    i, j, c = 2, 1, 1
    assert flat[1, ((i * 4 + j) * 2 + c) * 2] == state.x[1, i, j, c]
    assert flat[1, ((i * 4 + j) * 2 + c) * 2 + 1] == state.v[1, i, j, c]
    again = cell.unflatten(flat)
    np.testing.assert_array_equal(again.x, state.x)
    np.testing.assert_array_equal(again.v, state.v)


def test_parameters_are_the_cores():
    cell = NWM2DCell((3, 4), rngs=nnx.Rngs(0))
    assert set(functional.split(cell)[1]) == set(oscillator.OscillatorParams._fields)
    fixed = NWM2DCell((3, 4), learned=("gamma",), rngs=nnx.Rngs(0))
    assert "dt" not in functional.split(fixed)[1]
    assert set(functional.split(GRUCell(2, 3, rngs=nnx.Rngs(0)))[1]) == set(
        gated.GRUParams._fields
    )


def test_a_wrong_input_is_reported():
    cell = NWM2DCell((3, 4), rngs=nnx.Rngs(0))
    carry = cell.initialize_carry((2, 3, 4, 1))
    with pytest.raises(UserError, match=r"inputs \[..., 3, 4, 1\], but got \(2, 12\)"):
        cell(carry, jnp.zeros((2, 12)))


@pytest.mark.parametrize("kind", [NWM2DCell, NWM1DCell, CoRNNCell])
def test_help_shows_the_options(kind):
    parameters = inspect.signature(kind).parameters
    assert {"forcing", "dt", "learned", "param_dtype", "rngs"} <= parameters.keys()
    assert parameters["dt"].default == pytest.approx(0.12455336)
    described = inspect.getdoc(kind)
    assert all(f"{name}: " in described for name in parameters)
    core = getattr(haiku_cores, kind.__name__.removesuffix("Cell"))
    others = inspect.signature(core).parameters
    assert parameters.keys() - others.keys() == {"rngs"}
    shared = parameters.keys() & others.keys()
    assert all(parameters[name].default == others[name].default for name in shared)


@pytest.mark.parametrize("kind", [NWM2DCell, NWM1DCell])
def test_a_number_is_no_grid(kind):
    with pytest.raises(UserError, match=r"two integers, .*, not 8"):
        kind(8, rngs=nnx.Rngs(0))

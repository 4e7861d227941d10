"""Stacks of plain and gated cells: Haiku's own numbers, `nnx.RNN`, flat states."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.core.unroll import unroll
from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.modules.stacked import KINDS, StackedCell

CORES = {"vanilla": hk.VanillaRNN, "lstm": hk.LSTM, "gru": hk.GRU}
WIDTHS = (5, 4, 3)


@pytest.fixture(scope="module", params=KINDS)
def stack(request):
    """A stack on two inputs, with biases that are not zero."""
    cell = StackedCell(request.param, 2, WIDTHS, rngs=nnx.Rngs(0))
    graphdef, params, state = functional.split(cell)
    biased = jax.tree.map(
        lambda p: p + 0.2 * np.cos(np.arange(p.size)).reshape(p.shape), params
    )
    return request.param, functional.merge(graphdef, biased, state)


@jax.jit
def run_rnn(cell, inputs):
    return nnx.RNN(cell, return_carry=True)(inputs)


def draw(*shape):
    return jax.random.normal(jax.random.key(1), shape)


def as_haiku(kind, cell):
    """The weights by the names that Haiku gives them."""
    named = {}
    for index, layer in enumerate(cell.layers):
        params = {key: np.asarray(p) for key, p in layer.params._asdict().items()}
        name = f"{kind.upper()}_{index}"
        if kind == "vanilla":
            named[f"{name}/linear"] = {"w": params["w_i"], "b": params["b_i"]}
            named[f"{name}/linear_1"] = {"w": params["w_h"], "b": params["b_h"]}
        else:
            named[f"{name}/linear" if kind == "lstm" else name] = params
    return named


def test_equals_haikus_deep_rnn(stack):
    kind, cell = stack

    def run(inputs):
        layers = []
        for index, width in enumerate(WIDTHS):
            layers.append(CORES[kind](width, name=f"{kind.upper()}_{index}"))
            layers.append(jax.nn.swish)
        core = hk.DeepRNN(layers[:-1])
        return hk.dynamic_unroll(core, inputs, core.initial_state(2))[0]

    inputs = draw(7, 2, 2)
    want = jax.jit(hk.transform(run).apply)(as_haiku(kind, cell), None, inputs)
    _, got = run_rnn(cell, jnp.swapaxes(inputs, 0, 1))
    assert np.abs(want).max() > 0.05
    np.testing.assert_allclose(jnp.swapaxes(got, 0, 1), want, atol=1e-6)


def test_the_parts_make_the_whole(stack):
    """Drive outside the loop, step inside: equal to `nnx.RNN`."""
    _, cell = stack
    inputs = draw(2, 7, 2)

    @jax.jit
    def run_parts(cell, inputs):
        start = cell.initialize_carry((2, *cell.input_shape))
        return unroll(cell.step, start, cell.drive(inputs))

    last, states = run_parts(cell, inputs)
    carry, outputs = run_rnn(cell, inputs)
    np.testing.assert_allclose(cell.output(states), outputs, atol=1e-6)
    assert outputs.shape == (2, 7, *cell.output_shape)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_flat_states(stack):
    kind, cell = stack
    normal = nnx.initializers.normal(1.0)
    state = cell.initialize_carry((2, 3, 2), nnx.Rngs(carry=0), normal)
    flat = cell.flatten(state)
    assert flat.shape == (2, 3, cell.state_size)
    assert cell.state_size == sum(WIDTHS) * (2 if kind == "lstm" else 1)
    again = cell.unflatten(flat)
    assert jax.tree.structure(again) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=False):
        np.testing.assert_array_equal(a, b)
        assert bool(jnp.any(a != 0))


def test_lstm_states_are_h_before_c():
    cell = StackedCell("lstm", 2, (2, 1), rngs=nnx.Rngs(0))
    first, second = cell.unflatten(jnp.arange(6.0))
    np.testing.assert_array_equal(first.h, [0, 1])
    np.testing.assert_array_equal(first.c, [2, 3])
    np.testing.assert_array_equal(second.h, [4])
    np.testing.assert_array_equal(second.c, [5])


def test_clear_errors():
    with pytest.raises(UserError, match=r"unknown kind of cell 'lstn'.*'lstm'"):
        StackedCell("lstn", 2, (3,), rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match=r"layers of \[\]"):
        StackedCell("gru", 2, (), rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match=r"layers of \[3, 0\]"):
        StackedCell("gru", 2, (3, 0), rngs=nnx.Rngs(0))

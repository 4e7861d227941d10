"""Linear waves as modules: the contract of `nnx.RNN`, whole sequences, blocks."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.core import linear_scan, linear_wave
from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.modules.linear_wave import LinearWave, LinearWaveCell, LinOSS
from nwm_jax.modules.linear_wave_stack import LinearWaveBlock, LinearWaveStack
from tests.helpers.filled_models import filled

FIELD = LinearWaveHParams("ring", (1, 4), 2, 1, forcing="pointwise", scheme="imex")
DRIVEN = LinearWaveHParams("torus", (3, 4), 2, 3, scheme="implicit")


def test_a_cell_runs_in_nnx_rnn_as_a_whole_sequence_does():
    cell = filled(lambda: LinearWaveCell(FIELD, rngs=nnx.Rngs(0)))
    waves = filled(lambda: LinearWave(FIELD, rngs=nnx.Rngs(0)))
    nnx.update(waves.cell, nnx.state(cell))
    inputs = np.random.default_rng(0).normal(size=(2, 5, 1, 4, 1)).astype(np.float32)

    @jax.jit
    def run(cell, waves, x):
        last, stepped = nnx.RNN(cell, return_carry=True)(x)
        start = cell.initialize_carry((2, *cell.input_shape))
        return last, stepped, waves(x), waves.last(x), cell.solve(start, cell.drive(x))

    last, stepped, (end, states), alone, (_, driven) = run(cell, waves, inputs)
    for result in (states.x, driven.x):
        np.testing.assert_allclose(result, stepped, rtol=1e-4, atol=1e-5)
    for result in (end, alone):
        np.testing.assert_allclose(result.v, last.v, rtol=1e-4, atol=1e-5)
    flat = cell.flatten(last)
    assert flat.shape == (2, cell.state_size) == (2, 16)
    np.testing.assert_array_equal(cell.unflatten(flat).v, last.v)
    assert cell.output_shape == (1, 4, 2)


def test_linoss_is_the_uncoupled_case():
    waves = filled(lambda: LinOSS(3, 2, rngs=nnx.Rngs(0)))
    params = functional.split(waves.cell)[1]
    # No weights without numbers: a checkpoint cannot hold them.
    assert {name for name, p in params.items() if p is not None} == {
        "forcing",
        "dt",
        "gamma",
        "alpha",
    }
    step = jax.eval_shape(waves.transitions)
    assert step.xx.shape == (3,) and step.xx.dtype == jnp.float32
    with pytest.raises(UserError, match=r"LinOSS takes inputs \[batch, time, 2\]"):
        waves(jnp.ones((1, 4, 3)))


@pytest.mark.parametrize("blocks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stack_computes_the_same_in_all_ways(blocks):
    stack = filled(lambda: LinearWaveStack(DRIVEN, blocks, rngs=nnx.Rngs(0)))
    inputs = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)

    def run(stack, **options):
        start = stack.initialize_carry((2, 3))
        last, states = stack.unroll(start, inputs, **options)
        return last, states, stack.readable(last), stack.field(states)

    @jax.jit
    def all_ways(stack):
        return [run(stack, **o) for o in ({}, {"remat": 3}, {"implementation": "xla"})]

    (last, states, read, field), *others = all_ways(stack)
    assert read.shape == (2, stack.num_outputs) == (2, 24)
    assert field.shape == (2, 7, 3, 4, 2)
    assert float(abs(last.output).max()) > 1e-3
    close = {"rtol": 1e-4, "atol": 2e-5}
    jax.tree.map(
        lambda a, s: np.testing.assert_allclose(a, s[:, -1], **close), last, states
    )
    for other in others:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, **close),
            (last, states),
            other[:2],
        )
    with pytest.raises(UserError, match="remat"):
        stack.unroll(stack.initialize_carry((2, 3)), inputs, remat=-2)


def test_what_is_not_asked_for_is_not_computed():
    """A stack that is read at its end keeps no state of the steps before."""
    stack = filled(lambda: LinearWaveStack(DRIVEN, 1, rngs=nnx.Rngs(0)))

    def read(stack, inputs):
        return stack.unroll(stack.initialize_carry((2, 3)), inputs)[0].output

    inputs = jax.ShapeDtypeStruct((2, 512, 3), jnp.float32)
    compiled = jax.jit(read).lower(stack, inputs).compile()
    # States of all steps would be [2, 512, 3, 3, 2], twice, and complex.
    responses = 512 * 3 * np.prod(DRIVEN.mode_shape) * 2 * 8
    assert compiled.memory_analysis().temp_size_in_bytes < 3 * responses


def test_descriptions_that_contradict_themselves():
    with pytest.raises(UserError, match="blocks"):
        LinearWaveStack(DRIVEN, 0, rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match="dense"):
        LinearWaveStack(FIELD, 1, rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match="input_channels"):
        LinearWaveBlock(FIELD, rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match="unknown method"):
        LinearWave(DRIVEN, method="fft", rngs=nnx.Rngs(0))


def test_the_depth_of_associative_grows_as_the_logarithm_of_the_length():
    params = jax.eval_shape(lambda: linear_wave.init_params(jax.random.key(0), FIELD))
    start = jax.eval_shape(lambda: linear_wave.initial_state(FIELD, 1))

    def depth(times):
        inputs = jax.ShapeDtypeStruct((1, times, 1, 4, 1), jnp.float32)
        text = (
            jax.jit(
                lambda p, s, u: linear_scan.scan(FIELD, p, s, u, method="associative")
            )
            .lower(params, start, inputs)
            .as_text(dialect="hlo")
        )
        return longest_chain(text)

    result = [depth(times) for times in (16, 64, 256, 1024)]
    growth = np.diff(result)
    assert growth[0] == growth[1] == growth[2]  # as many for each factor of 4
    assert growth[0] < 60


def longest_chain(text):
    """The longest chain of instructions of a program in HLO without loops."""
    entry = text[text.index("ENTRY") :]
    assert " while(" not in entry
    length = {}
    for name, used in re.findall(
        r"^\s*(?:ROOT )?(\S+) = [^\n]*?\w\(([^\n]*)$", entry, re.MULTILINE
    ):
        operands = re.findall(r"[\w.\-]+", used.partition(")")[0])
        length[name] = 1 + max((length.get(o, 0) for o in operands), default=0)
    return max(length.values())

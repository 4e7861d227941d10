"""The Haiku cores: the numbers of the Flax cells, and the example of the docs."""

import pathlib
import re
import runpy

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax import CoRNNCell, NWM1DCell, NWM2DCell, haiku_cores
from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.core.wave import WaveHParams
from nwm_jax.modules import functional
from nwm_jax.modules.linear_wave import LinearWaveCell
from nwm_jax.modules.sequence_cells import WaveRNNCell

DOCS = pathlib.Path(__file__).parents[1] / "docs" / "haiku.md"
KINDS = {
    "nwm2d": (haiku_cores.NWM2D, NWM2DCell, (3, 4), {"channels": 2}, (3, 4, 1)),
    "nwm1d": (haiku_cores.NWM1D, NWM1DCell, (3, 4), {"learned": ("dt",)}, (3, 4, 1)),
    "cornn": (haiku_cores.CoRNN, CoRNNCell, 6, {}, (6,)),
    "linear_wave": (
        haiku_cores.LinearWave,
        LinearWaveCell,
        LinearWaveHParams("ring", (1, 4), 2, 3, scheme="imex"),
        {},
        (3,),
    ),
}


def unrolled(kind, size, options):
    def run(inputs):
        core = kind(size, **options)
        return hk.dynamic_unroll(core, inputs, core.initial_state(inputs.shape[1]))

    return hk.transform(run)


@pytest.mark.parametrize("name", KINDS)
def test_same_weights_same_numbers_as_the_flax_cell(name):
    kind, cell, size, options, shape = KINDS[name]
    cell = cell(size, rngs=nnx.Rngs(0), **options)
    # Biases that are not zero.
    params = jax.tree.map(lambda p: p + 0.01, functional.split(cell)[1])
    nnx.update(cell, params)
    inputs = jax.random.normal(jax.random.key(1), (20, 2, *shape))
    model = unrolled(kind, size, options)
    outputs, last = jax.jit(model.apply)({name: params}, None, inputs)
    want_last, want = nnx.RNN(cell, return_carry=True, time_major=True)(inputs)
    np.testing.assert_allclose(outputs, want, atol=1e-6)
    np.testing.assert_allclose(last.x, want_last.x, atol=1e-6)
    np.testing.assert_allclose(last.v, want_last.v, atol=1e-6)
    assert np.abs(want).max() > 0.1


@pytest.mark.parametrize("name", KINDS)
def test_parameters_have_the_names_and_shapes_of_the_flax_cell(name):
    kind, cell, size, options, shape = KINDS[name]
    model = unrolled(kind, size, options)
    inputs = jnp.zeros((2, 2, *shape))
    params = jax.eval_shape(model.init, jax.random.key(0), inputs)
    want = functional.split(cell(size, rngs=nnx.Rngs(0), **options))[1]
    assert jax.tree.map(jnp.shape, params) == {name: jax.tree.map(jnp.shape, want)}


WAVES = {
    "wave_rnn": (haiku_cores.WaveRNN, "ring", {"channels": 2, "kernel_size": 3}),
    "identity_rnn": (
        haiku_cores.IdentityRNN,
        "dense",
        {"coupling_init": "identity", "input_init": "uniform"},
    ),
}


@pytest.mark.parametrize("name", WAVES)
def test_wave_rnns_are_those_of_flax(name):
    kind, topology, options = WAVES[name]
    hparams = WaveHParams(topology, 5, 3, activation="tanh", **options)
    cell = WaveRNNCell(hparams, rngs=nnx.Rngs(0))
    params = functional.split(cell)[1]
    inputs = jax.random.normal(jax.random.key(1), (20, 2, 3))
    given = options if topology == "ring" else {}

    def run(inputs):
        core = kind(5, 3, activation="tanh", **given)
        return hk.dynamic_unroll(core, inputs, core.initial_state(inputs.shape[1]))

    model = hk.transform(run)
    drawn = jax.eval_shape(model.init, jax.random.key(0), inputs)
    assert jax.tree.map(jnp.shape, drawn) == {name: jax.tree.map(jnp.shape, params)}
    outputs, last = jax.jit(model.apply)({name: params}, None, inputs)
    want_last, want = cell.unroll(
        cell.initialize_carry((2, 3)), jnp.swapaxes(inputs, 0, 1)
    )
    np.testing.assert_allclose(outputs, jnp.swapaxes(want, 0, 1), atol=1e-6)
    np.testing.assert_allclose(last, want_last, atol=1e-6)


def test_the_key_draws_the_parameters():
    model = unrolled(haiku_cores.CoRNN, 6, {"alpha": 0.25})
    init = jax.jit(lambda key: model.init(key, jnp.zeros((2, 2, 6)))["cornn"])
    params, other = init(jax.random.key(0)), init(jax.random.key(1))
    assert np.abs(params["coupling_x"] - other["coupling_x"]).max() > 0.01
    assert np.abs(params["coupling_x"] - params["coupling_v"]).max() > 0.01
    assert params["alpha"] == 0.25


def test_a_state_without_a_batch():
    state = hk.testing.transform_and_run(
        lambda: haiku_cores.NWM1D((3, 4)).initial_state(None)
    )()
    assert state.x.shape == state.v.shape == (3, 4, 1)


@pytest.mark.slow
def test_the_example_runs_and_learns(tmp_path):
    example, weights = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    model = example[example.index("def predict") :]
    assert len([line for line in model.splitlines() if line]) <= 20
    (tmp_path / "example.py").write_text(example + weights)
    names = runpy.run_path(str(tmp_path / "example.py"))
    assert names["losses"][-1] < 0.5 * names["losses"][0]
    shapes = [jax.tree.map(jnp.shape, names[key]) for key in ("params", "weights")]
    assert shapes[0]["nwm2d"] == shapes[1]["nwm2d"]

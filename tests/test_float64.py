"""Types of weights and states: nothing depends on JAX's switch of double precision."""

import os
import subprocess
import sys

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax import haiku_cores
from nwm_jax.config import presets
from nwm_jax.core.wave import WaveHParams
from nwm_jax.models import forecasting, segmentation, sequences, topography
from nwm_jax.modules import autoencoder, functional, gated, layers
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell
from nwm_jax.modules.sequence_cells import WaveRNNCell
from nwm_jax.modules.stacked import StackedCell
from nwm_jax.runs import opened, scores
from nwm_jax.training import mesh, optimizer, registry
from nwm_jax.training import state as states

FAMILIES = (
    *("pendulum_nwm2d", "spring_cornn", "spring_ar", "spring_hgn", "spring_ode"),
    *("spring_lgn", "spring_rgn", "spring_hgn_conv", "copy_wrnn", "adding_irnn"),
    *("tetrominoes_nwm", "tetrominoes_convlstm", "tetrominoes_cnn"),
    *("tetrominoes_unet", "sine_nwm2d"),
)

# A module, and the shape of one input of it (of one step, where it is a cell).
CELLS = {
    "nwm2d": (lambda **o: NWM2DCell((3, 4), **o), (3, 4, 1)),
    "nwm1d": (lambda **o: NWM1DCell((2, 5), **o), (2, 5, 1)),
    "cornn": (lambda **o: CoRNNCell(4, **o), (4,)),
    "wave": (lambda **o: WaveRNNCell(WaveHParams("ring", 5, 2), **o), (2,)),
    "gru": (lambda **o: gated.GRUCell(3, 4, **o), (3,)),
    "stack": (lambda **o: StackedCell("lstm", 3, (4, 2), **o), (3,)),
    "uncoupled": (
        lambda **o: sequences.oscillators(
            "uncoupled", (1, 4), 2, dt=0.1, gamma=1.0, alpha=0.5, **o
        ),
        (2,),
    ),
    "topographic": (
        lambda rngs, **o: topography.topographic_cell(
            "nwm1d", (2, 5), state_norm=True, **o
        ),
        (2, 5, 1),
    ),
}
LAYERS = {
    "linear": (lambda **o: layers.Linear(3, 4, **o), (3,)),
    "conv": (lambda **o: layers.Conv(2, 4, **o), (8, 8, 2)),
    "mlp": (lambda **o: layers.MLP([3, 5, 4], **o), (3,)),
    "torch": (lambda **o: layers.Conv(2, 4, init="torch", **o), (8, 8, 2)),
    "encoder": (
        lambda **o: autoencoder.Encoder((8, 8, 1), 4, channels=2, **o),
        (8, 8, 1),
    ),
    "decoder": (
        lambda **o: autoencoder.Decoder(4, (8, 8, 1), planes=2, channels=2, **o),
        (4,),
    ),
}


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def made(name, **options):
    """Shapes of a module's parameters; and of its output and state."""
    build, shape = (CELLS | LAYERS)[name]

    def run():
        module = build(**options, rngs=nnx.Rngs(0))
        params = functional.split(module)[1]
        inputs = jnp.zeros((2, *shape))
        if isinstance(module, nnx.RNNCellBase):
            return params, module(module.initialize_carry(inputs.shape), inputs)
        return params, module(inputs)

    return jax.eval_shape(run)


def types(tree):
    return {leaf.dtype.name for leaf in jax.tree.leaves(tree)}


@pytest.mark.parametrize("name", [*CELLS, *LAYERS])
def test_float32_unless_asked_for_another_type(name, double):
    assert types(made(name)) == {"float32"}
    assert types(made(name, param_dtype=jnp.float64)) == {"float64"}
    params, outputs = made(name, param_dtype=jnp.float64, dtype=jnp.float32)
    assert types(params) == {"float64"} and types(outputs) == {"float32"}


@pytest.mark.parametrize(
    ("core", "shape"),
    [
        (lambda **o: haiku_cores.NWM2D((3, 4), **o), (3, 4, 1)),
        (lambda **o: haiku_cores.CoRNN(4, **o), (4,)),
        (lambda **o: haiku_cores.WaveRNN(5, 2, **o), (2,)),
    ],
    ids=["nwm2d", "cornn", "wave_rnn"],
)
def test_haiku_cores(core, shape, double):
    def result(**options):
        def run():
            made = core(**options)
            return made(jnp.zeros((2, *shape)), made.initial_state(2))

        init, apply = hk.transform(run)
        params = jax.eval_shape(init, jax.random.key(0))
        return params, jax.eval_shape(apply, params, jax.random.key(0))

    for tree in result():
        assert types(tree) == {"float32"}
    for tree in result(param_dtype=jnp.float64):
        assert types(tree) == {"float64"}
    params, outputs = result(param_dtype=jnp.float64, dtype=jnp.float32)
    assert types(params) == {"float64"} and types(outputs) == {"float32"}


# By task: a model of a config, and the shape of what it takes.
BUILD = {
    "forecasting": lambda m, **o: forecasting.build(m, (32, 32, 3), **o),
    "segmentation": lambda m, **o: segmentation.build(m, (16, 16, 1), 3, **o),
    "variational": lambda m, **o: topography.build(m, (20, 20, 1), **o),
    **dict.fromkeys(("copy", "adding"), lambda m, **o: sequences.build(m, 2, 3, **o)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_models(name, double):
    config = presets.load(f"{name}:smoke")
    images = jnp.zeros((2, 40, 32, 32, 3), jnp.float32)

    def result(**options):
        def run():
            model = BUILD[config.task](config.model, **options, rngs=nnx.Rngs(0))
            weights = functional.split(model)[1:]
            if hasattr(model, "train_length"):
                frames = images[:, : model.train_length]
                key = jax.random.key(0)
                return weights, (model.reconstruct(frames), model.loss(frames, key))
            if hasattr(model, "run"):
                return weights, model.run(jnp.zeros((2, 4, 20, 20, 1), jnp.float32))
            shape = (2, 16, 16, 1) if config.task == "segmentation" else (2, 5, 2)
            return weights, model(jnp.zeros(shape, jnp.float32))

        return jax.eval_shape(run)

    weights, outputs = result()
    assert types(weights) == types(outputs) == {"float32"}
    weights, outputs = result(param_dtype=jnp.float64)
    # A variational model returns the frames that it was to predict, too.
    assert types(weights) == {"float64"} and "float64" in types(outputs)
    weights, outputs = result(param_dtype=jnp.float64, dtype=jnp.float32)
    assert types(weights) == {"float64"} and types(outputs) == {"float32"}


@pytest.mark.parametrize("name", FAMILIES)
def test_training_is_in_float32(name, double):
    config = presets.load(f"{name}:smoke")
    task = registry.build(config)
    transform = optimizer.build(config.optimizer, config.num_steps)
    shapes = states.abstract(task, transform, mesh.make_mesh(jax.devices()[:1]))
    assert types(shapes) <= {"float32", "int32"}


def test_a_seed_gives_the_same_weights():
    task = registry.build(presets.load("sine_nwm2d:smoke"))
    for build, _ in [CELLS["nwm2d"], CELLS["wave"], LAYERS["encoder"]]:
        single = functional.split(build(rngs=nnx.Rngs(0)))[1]
        with jax.enable_x64(True):
            double = functional.split(build(rngs=nnx.Rngs(0)))[1]
        jax.tree.map(np.testing.assert_array_equal, single, double)
    single = states.untrained(task, 3)
    with jax.enable_x64(True):
        double = states.untrained(task, 3)
    jax.tree.map(np.testing.assert_array_equal, single, double)


@pytest.mark.slow
def test_a_run_in_either_mode_is_the_same_run(tmp_path):
    spec = "adding_wrnn:smoke,T=6,model.units=8,eval.num_examples=6,num_steps=3"
    result = []
    for mode in ("0", "1"):
        folder = tmp_path / mode
        subprocess.run(
            [
                sys.executable,
                "-m",
                "nwm_jax.train",
                f"--config={spec}",
                f"--workdir={folder}",
            ],
            env={**os.environ, "JAX_ENABLE_X64": mode, "JAX_NUM_CPU_DEVICES": "1"},
            check=True,
            capture_output=True,
        )
        run = opened.open_run(folder)
        stored = scores.read_scores(folder)
        result.append((functional.split(run.model)[1], stored["mse"]))
    (single, mse), (double, mse_double) = result
    jax.tree.map(np.testing.assert_array_equal, single, double)
    assert mse == mse_double
    # A checkpoint of one mode is read in the other.
    with jax.enable_x64(True):
        params = functional.split(opened.open_run(tmp_path / "0").model)[1]
    jax.tree.map(np.testing.assert_array_equal, single, params)
    assert types(params) == {"float32"}

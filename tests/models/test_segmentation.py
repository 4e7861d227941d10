"""Segmentation models: sizes, two formulations that agree, several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.core import readouts
from nwm_jax.core import segmentation as pixels
from nwm_jax.errors import UserError
from nwm_jax.models import segmentation
from nwm_jax.models.unet import BatchNorm
from nwm_jax.modules import functional
from nwm_jax.training import mesh as meshes
from tests.helpers.native_library import needs_native

SHAPES = {"mnist": (56, 56, 1), "tetrominoes": (64, 64, 3), "multimnist": (128, 128, 1)}
CLASSES = {"tetrominoes": 6}

# Of the paper, which counts V of the linear readout in every recurrent model.
PARAMETERS = {
    "mnist_nwm:readout=last": 150_945,
    "mnist_nwm:readout=max_time": 150_945,
    "mnist_nwm:readout=fft": 176_545,
    "mnist_nwm:readout=linear": 176_545,
    "tetrominoes_nwm:readout=mean_time": 150_524,
    "tetrominoes_nwm:readout=linear": 176_124,
    "mnist_convlstm:readout=last": 146_347,
    "mnist_convlstm:readout=fft": 151_467,
    "tetrominoes_convlstm:readout=max_time": 145_926,
    "tetrominoes_convlstm:readout=linear": 151_046,
    "mnist_cnn:depth=2": 160_499,
    "mnist_cnn:depth=4": 165_139,
    "mnist_cnn:depth=8": 174_419,
    "mnist_cnn:depth=16": 192_979,
    "mnist_cnn:depth=32": 230_099,
    "tetrominoes_cnn:depth=2": 159_502,
    "tetrominoes_cnn:depth=4": 164_142,
    "tetrominoes_cnn:depth=8": 173_422,
    "tetrominoes_cnn:depth=16": 191_982,
    "tetrominoes_cnn:depth=32": 229_102,
    "multimnist_nwm": 54_855,
    "multimnist_unet:width=2": 30_745,
    "multimnist_unet:width=3": 68_834,
    "multimnist_unet:width=4": 122_071,
    "multimnist_unet:width=5": 190_456,
}


def make(model, shape, classes, **options):
    return segmentation.build(model, shape, classes, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("spec", PARAMETERS)
def test_parameters(spec):
    model = presets.load(spec).model
    data = spec.partition("_")[0]
    build = lambda: make(model, SHAPES[data], CLASSES.get(data, 11))
    params = functional.split(nnx.eval_shape(build))[1]
    unused = segmentation.num_unused(model)
    assert functional.count(params) + unused == PARAMETERS[spec]
    assert bool(unused) == any(word in spec for word in ("last", "_time", "fft"))


def both_formulations(spec, side=8, batch=4, **options):
    """Loss, sums and gradients of the plain formulation and ours, in float64."""
    model = presets.load(spec).model
    rng = np.random.default_rng(0)
    images = rng.random((batch, side, side, 2))
    labels = rng.integers(0, 3, (batch, side, side))
    result = []
    for conv in ("xla", "fast"):
        graphdef, params, rest = functional.split(
            make(model, (side, side, 2), 3, conv=conv, **options)
        )
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)

        def loss(params, graphdef=graphdef, rest=rest):
            model = functional.merge(graphdef, params, rest)
            return model.score(images, labels, pixels.all_sums)

        result.append(jax.jit(jax.value_and_grad(loss, has_aux=True))(params))
    return result


SMALL = ":smoke,T=7,model.width=3,model.units=5"
LINEAR = f"polygons_nwm{SMALL},readout=linear"
SPECS = [LINEAR, f"polygons_convlstm{SMALL},readout=fft"]
SPECS += ["polygons_cnn:smoke,depth=3,model.width=3,model.units=5"]
SPECS += [
    pytest.param(f"polygons_nwm{SMALL},readout={name}", marks=pytest.mark.slow)
    for name in readouts.READOUTS
    if name != "linear"
]


@pytest.mark.slow
@needs_native
@pytest.mark.parametrize("spec", SPECS)
def test_formulations_agree(spec):
    with jax.enable_x64(True):
        plain, ours = both_formulations(spec, remat=3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        plain,
        ours,
    )


def test_several_devices_agree_with_one():
    model = presets.load(LINEAR).model
    rng = np.random.default_rng(0)
    batch = {
        "images": rng.random((8, 8, 8, 2), np.float32),
        "labels": rng.integers(0, 3, (8, 8, 8), np.int32),
    }
    graphdef, params, rest = functional.split(make(model, (8, 8, 2), 3, remat=3))

    def loss(params, batch):
        model = functional.merge(graphdef, params, rest)
        return model.score(batch["images"], batch["labels"], pixels.training_sums)

    compute = jax.jit(jax.value_and_grad(loss, has_aux=True))
    alone = compute(params, batch)
    mesh = meshes.make_mesh()
    assert mesh.size == 4
    with jax.set_mesh(mesh):
        shared = compute(
            meshes.replicate(params, mesh), meshes.shard_batch(batch, mesh)
        )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7),
        alone,
        shared,
    )


def test_statistics_are_learned_only_in_training():
    norm = BatchNorm(2)
    x = np.random.default_rng(0).random((3, 4, 5, 2), np.float32)
    np.testing.assert_allclose(norm(x), x / np.sqrt(1 + 1e-5), rtol=1e-6)
    assert np.all(norm.mean[...] == 0)
    y = np.asarray(norm(x, train=True))
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean(axis=(0, 1, 2)), rtol=1e-5)
    variance = 0.9 + 0.1 * x.var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(norm.variance[...], variance, rtol=1e-5)


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("polygons_unet", (24, 24, 1), "multiples of 16, not 24 x 24"),
        ("polygons_nwm:readout=sum", (32, 32, 1), "unknown model.readout 'sum'"),
    ],
)
def test_refusals(spec, shape, message):
    with pytest.raises(UserError, match=message):
        make(presets.load(spec).model, shape, 3)


def test_he_s_weights_keep_the_signal_of_a_deep_network():
    images = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    spread = {}
    for he in ("false", "true"):
        spec = f"polygons_cnn:smoke,depth=16,model.he={he}"
        model = make(presets.load(spec).model, (16, 16, 1), 5)
        narrow = model.encode(images)
        spread[he] = float(narrow.std(axis=(0, 1, 2)).mean())
    assert spread["true"] > 10 * spread["false"]

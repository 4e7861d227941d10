"""Sequence classifiers: the papers' numbers of parameters, answers, memory by blocks."""

import jax
import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.errors import UserError
from nwm_jax.models import sequences
from nwm_jax.modules import functional
from tests.helpers.filled_models import filled

WAVE = {
    "channels": 1,
    "activation": "relu",
    "coupling_init": "shift",
    "input_init": "single",
    "speed": 1.0,
    "zero_coupling_bias": False,
    "frozen": (),
    "readout_hidden": 0,
}
OSCILLATORS = {"dt": 0.042, "gamma": 2.7, "alpha": 4.7, "readout_hidden": 0}


def model(name, **fields):
    base = OSCILLATORS
    if name == "irnn":
        base = WAVE
    elif name == "wrnn":
        base = WAVE | {"kernel_size": 3, "local": False}
    return ConfigDict(base | {"name": name, **fields})


def wrnn(units, channels, hidden=0):
    return model("wrnn", units=units, channels=channels, readout_hidden=hidden)


def irnn(units, hidden=0):
    return model("irnn", units=units, readout_hidden=hidden)


def nwm(name, channels=1, grid=(16, 16)):
    return model(name, grid=grid, channels=channels)


def alone(units, trained):
    return model("uncoupled", units=units, train_scalars=trained)


@pytest.mark.parametrize(
    ("config", "inputs", "outputs", "parameters", "weights"),
    [
        (wrnn(100, 6), 10, 10, 12_724, 12_108),
        (irnn(100), 10, 10, 12_210, 12_000),
        (irnn(625), 10, 10, 404_385, 403_125),
        (wrnn(100, 27), 2, 1, 13_015, 10_287),
        (irnn(100), 2, 1, 10_501, 10_300),
        (wrnn(256, 16), 1, 10, 49_946, 45_824),
        (wrnn(256, 16, hidden=100), 1, 10, 419_686, 415_464),
        (irnn(256), 1, 10, 68_874, 68_352),
        (wrnn(169, 32), 1, 10, 68_010, 62_560),
        (wrnn(324, 32, hidden=100), 1, 10, 1_061_750, 1_051_240),
        (irnn(529, hidden=100), 1, 10, 335_438, 334_270),
        (wrnn(144, 16), 96, 10, 247_322, 244_992),
        (wrnn(256, 16), 96, 10, 439_066, 434_944),
        (irnn(1024), 96, 10, 1_159_178, 1_157_120),
        (model("cornn", units=256), 1, 10, 134_154, None),
        (model("cornn", units=128), 1, 10, 34_314, None),
        (model("cornn", units=128), 2, 1, 33_281, None),
        (model("cornn", units=128), 96, 10, 46_474, None),
        (nwm("nwm2d"), 1, 10, 3_102, None),
        (nwm("nwm1d"), 1, 10, 3_090, None),
        (nwm("nwm2d", grid=(11, 11)), 2, 1, 505, None),
        (nwm("nwm2d", channels=16), 1, 10, 53_802, 49_664),
        (alone(256, True), 1, 10, 3_084, None),
        (alone(256, False), 1, 10, 3_082, None),
    ],
)
def test_numbers_of_parameters(config, inputs, outputs, parameters, weights):
    def build():
        return sequences.build(config, inputs, outputs, rngs=nnx.Rngs(0))

    _, params, state = functional.split(nnx.eval_shape(build))
    assert functional.count(params) == parameters and state == {}
    if weights is not None:
        assert sequences.count_weights(params) == weights


def test_every_step_remat_and_states_agree():
    inputs = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    config = model("wrnn", units=5, channels=2, activation="tanh", readout_hidden=4)
    plain, every, blocks = (
        filled(lambda o=o: sequences.build(config, 3, 7, rngs=nnx.Rngs(0), **o))
        for o in ({}, {"every_step": True}, {"remat": 4})
    )

    @jax.jit
    def run(models):
        return [model(inputs) for model in models], models[0].states(inputs)

    (last, all_of_them, same), states = run((plain, every, blocks))
    assert last.shape == (2, 7) and all_of_them.shape == (2, 9, 7)
    assert states.shape == (2, 9, 5, 2)
    np.testing.assert_allclose(all_of_them[:, -1], last, atol=1e-6)
    np.testing.assert_allclose(same, last, atol=1e-6)
    # Place by place, then the ReLU layer, then the answer.
    hidden, output = plain.readout
    flat = np.asarray(states)[:, 3].reshape(2, 10)
    features = np.maximum(flat @ hidden.kernel[...] + hidden.bias[...], 0)
    np.testing.assert_allclose(
        all_of_them[:, 3], features @ output.kernel[...] + output.bias[...], atol=1e-5
    )


def test_unknown_models_are_refused():
    with pytest.raises(UserError, match="unknown model 'lstm'; choose from wrnn"):
        sequences.build(model("lstm"), 1, 1, rngs=nnx.Rngs(0))

"""Configs of the sequence experiments: the papers' numbers, short forms, ranges."""

import re

import jax
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError
from nwm_jax.experiments.sequences import configs, grids
from nwm_jax.models import sequences as classifier
from nwm_jax.modules import functional
from nwm_jax.training import optimizer

# Inputs and answers of the tasks, by the first part of a name; all parameters and
# those without biases, as the specifications of the papers' programs count them.
SIZES = {"copy": (10, 10), "adding": (2, 1), "smnist": (1, 10), "nscifar10": (96, 10)}
PARAMETERS = {
    "copy_wrnn": (12_724, 12_108),
    "copy_irnn": (12_210, 12_000),
    "adding_wrnn": (13_015, 10_287),
    "adding_irnn": (10_501, 10_300),
    "smnist_wrnn": (49_946, 45_824),
    "smnist_irnn": (68_874, 68_352),
    "smnist_cornn": (134_154, 133_888),
    "smnist_nwm2d": (53_802, 49_664),
    "smnist_nwm1d": (3_090, 2_822),
    "smnist_uncoupled": (3_082, 2_816),
    "nscifar10_wrnn": (439_066, 434_944),
    "nscifar10_irnn": (336_983, 335_915),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    inputs, outputs = SIZES[name.partition("_")[0]]
    model = presets.load(name).model
    build = lambda: classifier.build(model, inputs, outputs, rngs=nnx.Rngs(0))
    params = functional.split(nnx.eval_shape(build))[1]
    counted = functional.count(params), classifier.count_weights(params)
    assert counted == PARAMETERS[name]


@pytest.mark.parametrize(
    ("length", "rate", "clip"), [(30, 1e-3, 0), (80, 1e-3, 1), (480, 1e-4, 1)]
)
def test_t_chooses_what_the_paper_found_best(length, rate, clip):
    config = presets.load(f"copy_wrnn:T={length}")
    assert config.data.T == length
    result = config.optimizer
    assert (result.learning_rate, result.clip) == (rate, clip)
    # Unless it is said otherwise.
    config = presets.load(f"copy_wrnn:laptop,T={length},optimizer.learning_rate=0.5")
    assert config.optimizer.learning_rate == 0.5


def test_short_forms():
    config = presets.load("copy_irnn:laptop,T=50,layout=code,seed=3")
    assert (config.data.T, config.data.layout) == (50, "code")
    assert config.protocol == "laptop + data.T=50 + data.layout=code"
    assert config.optimizer.learning_rate == 1e-4
    assert presets.load("adding_wrnn:T=400").data.T == 400
    with pytest.raises(UserError, match=r"unknown config field 'data.layout'"):
        presets.load("adding_wrnn:layout=code")
    with pytest.raises(UserError, match="T takes an integer, not 'x'"):
        presets.load("copy_wrnn:T=x")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("copy_wrnn:layout=codes", "unknown data.layout 'codes'; did you mean 'code'?"),
        ("adding_irnn:model.units=0", "model.units=0 must be at least 1"),
        ("smnist_wrnn:data.pool=0", "data.pool=0 must be at least 1"),
        ("smnist_wrnn:data.num_valid=-1", "data.num_valid=-1 must be at least 0"),
        ("smnist_wrnn:optimizer.drop_factor=0", "optimizer.drop_factor=0.0 must be a"),
        (
            "smnist_cornn:model.name=wrnn",
            "model.alpha is not a field of the model wrnn",
        ),
        (
            "copy_wrnn:model.name=cornn",
            "the task copy has no config of the model cornn",
        ),
        ("copy_wrnn:model.name=rnn", "unknown model.name 'rnn'"),
        ("copy_wrnn:model.activation=rel", "unknown model.activation 'rel'; did you"),
    ],
)
def test_refuses(spec, message):
    with pytest.raises(UserError, match=re.escape(message)):
        validate(presets.load(spec))


def test_all_training_and_test_images_are_allowed():
    config = presets.load("smnist_wrnn:data.num_train=0,data.num_test=0")
    assert validate(config) is config


def test_the_learning_rate_drops_after_epoch_100():
    """Of 120 epochs of 475 updates; of 250, after 200 once more."""
    for name, drops in [
        ("psmnist_cornn", [47_500]),
        ("psmnist_irnn", [44_500, 89_000]),
    ]:
        config = presets.load(name)
        rate = jax.jit(optimizer.learning_rate(config.optimizer, config.num_steps))
        for number, step in enumerate(drops):
            before = config.optimizer.learning_rate * 0.1**number
            assert float(rate(step - 1)) == pytest.approx(before)
            assert float(rate(step)) == pytest.approx(0.1 * before)


@pytest.mark.parametrize("name", grids.GRIDS)
def test_grids_are_of_fields_that_exist(name):
    result = grids.sweep(name)
    sizes = {"copy_irnn": 360, "copy_wrnn": 45, "adding_irnn": 75, "adding_wrnn": 75}
    sizes |= {"psmnist_wrnn": 60, "psmnist_irnn": 60, "nscifar10_irnn": 12}
    assert len(result) == sizes.get(name, len(result))
    assert len({str(fields) for fields in result}) == len(result)
    for fields in (result[0], result[-1]):
        argument = ",".join(f"{field}={value}" for field, value in fields.items())
        config = validate(presets.load(f"{name}:{argument}"))
        assert config.name == name


def test_an_unknown_grid():
    with pytest.raises(UserError, match="unknown grid 'copy_rnn'"):
        grids.sweep("copy_rnn")


def test_every_config_finds_its_definition():
    for name, known in configs.CONFIGS.items():
        config = presets.load(f"{name}:smoke,name=mine")
        assert presets.definition(config).plain.model.name == config.model.name
        assert presets.definition(presets.load(name)) is known

"""Models from configs: parameter counts of the papers, options, one step of training."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from nwm_jax.config.presets import load as load_config
from nwm_jax.errors import UserError
from nwm_jax.models.forecasting import build
from nwm_jax.modules import functional
from tests.helpers.filled_models import filled

IMAGE_NETWORKS = {"encoder": 221_312, "decoder": 205_283}
INFERENCE = {"encoder": 295_872}
COUNTS = {
    "nwm2d": (14_823_420, {"encoder": 4_969_650, "decoder": 4_812_899, "cell": 559}),
    "nwm1d": (14_823_402, {"initial": 5_040_312, "cell": 541}),
    "cornn": (15_662_916, {"initial": 5_040_312, "cell": 840_055}),
    "ar_vanilla": (883_183, IMAGE_NETWORKS | {"cell": 456_588}),
    "ar": (2_248_819, IMAGE_NETWORKS | {"cell": 1_822_224}),
    "ar_gru": (1_793_263, IMAGE_NETWORKS | {"cell": 1_366_668}),
    "hgn": (882_561, INFERENCE | {"dynamics": 385_502}),
    "lgn": (916_446, INFERENCE | {"dynamics": 419_387}),
    "ode": (705_687, INFERENCE | {"dynamics": 204_532}),
    "rgn": (705_687, INFERENCE | {"dynamics": 204_532}),
    "hgn_conv": (645_542, {}),
}
AR = "model.units=5,model.latent=4,model.layers=2,model.conv_channels=2"
FIELD = "model.grid=(3,4),model.conv_channels=2,model.num_observed=3,model.num_ic=2"
OTHERS = {
    "ar_gru": AR,
    "ar_vanilla": AR,
    "ar with an initial-condition network": (
        f"{AR},model.num_observed=31,model.num_ic=31"
    ),
    "nwm2d": FIELD,
    "nwm1d of positions": f"{FIELD},model.decode=x",
    "cornn from zeros": f"{FIELD},model.num_ic=0",
}


def params_of(name: str, argument: str = "", image_shape=(32, 32, 3)):
    config = load_config(f"pendulum_{name}:{argument}")
    make = lambda: build(config.model, image_shape, rngs=nnx.Rngs(0))
    return functional.split(nnx.eval_shape(make))[1]


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_of_the_papers_models(name):
    total, parts = COUNTS[name]
    params = params_of(name)
    assert functional.count(params) == total
    assert {part: functional.count(params[part]) for part in parts} == parts


def test_an_lstm_with_an_initial_condition_network_is_one_line():
    """The GRU gives h and c of all five layers: 2 (4 250 + 32) numbers."""
    params = params_of("ar", "model.num_observed=31,model.num_ic=31")
    units = 2 * (4 * 250 + 32)
    assert params["initial"]["w_i"].shape == (32, 3 * units)
    assert params["initial"]["w_h"].shape == (units, 3 * units)


def test_fewer_parts_have_fewer_parameters():
    params = params_of("nwm2d", "model.decode=x,model.num_ic=0")
    assert "initial" not in params
    assert params["decoder"]["project"]["kernel"].shape == (529, 16 * 264)


def check_a_step_of_training(name, argument):
    config = load_config(f"pendulum_{name}:{argument}")
    make = lambda: build(config.model, (8, 8, 3), conv="xla", rngs=nnx.Rngs(0))
    graphdef, params, state = functional.split(filled(make))
    # Constants of oscillators; below 0 they would count as 0.
    params = jax.tree.map(lambda leaf: leaf if leaf.ndim else np.abs(leaf), params)
    length = max(6, config.model.num_ic + 3)
    images = jax.random.uniform(jax.random.key(0), (2, length, 8, 8, 3)) ** 3

    @jax.jit
    def step(params, rate):
        def loss(params):
            model = functional.merge(graphdef, params, state)
            return model.loss(images, jax.random.key(0))[0]

        value, gradients = jax.value_and_grad(loss)(params)
        updates = jax.tree.map(lambda g: -rate * g, gradients)
        return value, gradients, optax.apply_updates(params, updates)

    first, gradients, params = step(params, 0.3)
    last, *_ = step(params, 0.0)
    assert last < first
    for leaf in jax.tree.leaves(gradients):
        assert np.isfinite(leaf).all() and np.any(leaf != 0)


@pytest.mark.slow
def test_a_step_of_training_lowers_the_loss():
    check_a_step_of_training("ar", AR)


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_a_step_of_training_of_the_others(case):
    check_a_step_of_training(case.split()[0], OTHERS[case])


def test_an_unknown_model_is_reported():
    config = load_config("pendulum_ar")
    with config.unlocked():
        config.model.name = "rnn"
    with pytest.raises(UserError, match="unknown model 'rnn'"):
        build(config.model, (8, 8, 3), rngs=nnx.Rngs(0))
    config = load_config("pendulum_nwm2d")
    config.model.decode = "v"
    with pytest.raises(UserError, match=r"unknown model.decode 'v'"):
        build(config.model, (8, 8, 3), rngs=nnx.Rngs(0))

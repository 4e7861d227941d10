"""Weights out to the original's names and back, and arrays that do not fit."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.interop import physics_inspired_models as originals
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules import functional
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell
from nwm_jax.modules.gated import GRUCell
from nwm_jax.modules.stacked import StackedCell


def make(cell, image_shape=(8, 8, 3), **options):
    """A tiny forecaster with weights of NumPy's making: nothing is compiled."""
    sizes = {"num_observed": 3, "train_length": 9, "conv_channels": 2}
    abstract = nnx.eval_shape(
        lambda: Forecaster(
            cell(nnx.Rngs(0)), image_shape, rngs=nnx.Rngs(1), **sizes | options
        )
    )
    graphdef, shapes, state = functional.split(abstract)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes
    )
    return functional.merge(graphdef, params, state)


def stack(kind):
    """Two layers of plain or gated cells."""
    return make(
        lambda rngs: StackedCell(kind, 4, (5, 4), rngs=rngs), num_ic=0, decode="output"
    )


FIELDS = {
    "nwm2d": lambda rngs: NWM2DCell((3, 4), input_channels=2, rngs=rngs),
    "nwm1d": lambda rngs: NWM1DCell((3, 4), channels=2, rngs=rngs),
    "cornn": lambda rngs: CoRNNCell(6, rngs=rngs),
}
SIZES = {"num_inference_steps": 3, "num_target_steps": 9}


@pytest.mark.parametrize(
    ("kind", "core"),
    [("vanilla", hk.VanillaRNN), ("lstm", hk.LSTM), ("gru", hk.GRU)],
)
def test_stacks_have_the_names_that_haiku_gives(kind, core):
    def run(inputs):
        first, second = (
            core(5, name=f"{kind.upper()}_0"),
            core(4, name=f"{kind.upper()}_1"),
        )
        outputs, _ = first(inputs, first.initial_state(2))
        second(outputs, second.initial_state(2))

    theirs = {
        f"{module}:{name}": array.shape
        for module, arrays in jax.eval_shape(
            hk.transform(run).init, jax.random.key(0), jnp.zeros((2, 4))
        ).items()
        for name, array in arrays.items()
    }
    ours = originals.dump(stack(kind))
    images = [name for name in ours if name.startswith(("Encoder", "Decoder"))]
    assert ours.keys() == theirs.keys() | set(images)
    assert {name: ours[name].shape for name in theirs} == theirs


def load_again(model, name, **overrides):
    """The way out and back: the same arrays in the same places."""
    weights = originals.dump(model)
    graphdef, params, _ = functional.split(model)
    again = functional.split(originals.load(weights, name, **overrides))
    assert again[0] == graphdef
    jax.tree.map(np.testing.assert_array_equal, params, again[1])
    return weights


@pytest.mark.parametrize("kind", ["vanilla", "lstm", "gru"])
def test_stacks_go_out_and_come_back(kind):
    load_again(stack(kind), f"ar_{kind}", **SIZES)


@pytest.mark.parametrize("name", FIELDS)
def test_oscillators_go_out_and_come_back(name):
    model = make(FIELDS[name], num_ic=2)
    load_again(model, name, num_ic_steps=2, **SIZES)


def test_positions_only_of_long_images_without_an_initial_condition_network():
    model = make(FIELDS["nwm1d"], (8, 16, 3), num_ic=0, decode="output")
    weights = load_again(model, "nwm1d", num_ic_steps=0, **SIZES)
    assert weights["CORNN_0/~/CouplingNet:w"].shape == (1, 3, 2, 2)
    assert not any(name.startswith("IC_Net") for name in weights)


def test_a_stack_with_an_initial_condition_network():
    model = make(
        lambda rngs: StackedCell("lstm", 4, (5, 4), rngs=rngs),
        num_ic=3,
        decode="output",
    )
    weights = load_again(model, "ar_lstm", num_ic_steps=3, **SIZES)
    assert weights["IC_Net_0:w_h"].shape == (18, 54)


def test_what_the_original_does_not_have_cannot_go_out():
    with pytest.raises(UserError, match="the original has no GRUCell"):
        originals.dump(nnx.eval_shape(lambda: GRUCell(2, 3, rngs=nnx.Rngs(0))))
    model = make(
        lambda rngs: NWM2DCell((3, 4), learned=("dt", "gamma"), rngs=rngs), num_ic=2
    )
    with pytest.raises(UserError, match="they differ in cell/alpha"):
        originals.dump(model)


def test_layers_that_miss_an_array_are_named():
    weights = originals.dump(stack("lstm"))
    with pytest.raises(UserError, match="unknown in ar_lstm's overrides: dt"):
        originals.load(weights, "ar_lstm", dt=0.1)
    del weights["LSTM_0/linear:b"]
    with pytest.raises(UserError, match="missing in ar_lstm: LSTM_0/linear:b"):
        originals.load(weights, "ar_lstm")


def check_that_each_misshapen_array_is_named(model, weights, **overrides):
    """Whichever it is: longer by a row, or with two axes too many."""
    for name, array in weights.items():
        longer = np.concatenate([array, array[:1]]) if array.ndim else array[None]
        for wrong in (longer, array[None, None]):
            with pytest.raises(UserError) as caught:
                originals.load(weights | {name: wrong}, model, **overrides)
            assert name in str(caught.value), (name, wrong.shape)


@pytest.mark.slow
def test_one_misshapen_array_is_named_among_all():
    check_that_each_misshapen_array_is_named("ar_gru", originals.dump(stack("gru")))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["nwm2d", "nwm1d", "cornn", "ar_lstm", "ar_vanilla"])
def test_one_misshapen_array_is_named_in_the_others(model):
    if model.startswith("ar"):
        weights, steps = originals.dump(stack(model[3:])), {}
    else:
        weights = originals.dump(make(FIELDS[model], num_ic=2))
        steps = {"num_inference_steps": 3, "num_ic_steps": 2}
    check_that_each_misshapen_array_is_named(model, weights, **steps)

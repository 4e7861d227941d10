"""Weights of the original segmentation models: their numbers, and what is refused."""

import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.interop.torch import load_state_dict
from tests.helpers import segmentation_weights as filled
from tests.helpers.golden_files import GOLDEN

NWM = {"readout": "linear", "num_steps": 10, "dt": 0.1}


@pytest.mark.parametrize(
    ("file", "model", "hp"),
    [("nwm_linear", "segmentation_nwm", NWM), ("cnn4", "cnn", {})],
)
def test_golden_logits(file, model, hp):
    golden = np.load(GOLDEN / "segmentation" / f"{file}.npz")
    arrays = {
        name.removeprefix("params/"): golden[name]
        for name in golden.files
        if name.startswith("params/")
    }
    result = load_state_dict(arrays, model, **hp)(
        golden["inputs"].transpose(0, 2, 3, 1)
    )
    expected = golden["outputs"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())


def weights(**changes):
    arrays = filled.fill(filled.nwm(12))
    for name, array in changes.items():
        name = name.replace("__", ".")
        if array is None:
            del arrays[name]
        else:
            arrays[name] = array
    return arrays


@pytest.mark.parametrize(
    ("arrays", "hp", "message"),
    [
        (weights(), {"readout": "linear", "num_steps": 10}, "also needs dt"),
        (weights(), NWM | {"readout": "sum"}, "unknown readout 'sum'"),
        (weights(), NWM | {"num_steps": 12}, "fc_time.weight .* expected \\(7, 12\\)"),
        (weights(), NWM | {"num_steps": 0}, "num_steps=0 must be a whole number"),
        (weights(), NWM | {"T": 3}, "unknown hyper-parameter of segmentation_nwm 'T'"),
        (weights(), NWM | {"readout": "last"}, "fc_readout.0.weight .* expected"),
        (
            weights(classifier__cell__Wy__weight=None),
            NWM,
            "missing in segmentation_nwm: classifier.cell.Wy.weight",
        ),
        (
            weights(classifier__other=np.zeros(3)),
            NWM,
            "unknown in segmentation_nwm: classifier.other",
        ),
        (
            weights(classifier__cell__Wy__weight=np.zeros((2, 2, 5, 5))),
            NWM,
            "Wy.weight .* expected",
        ),
    ],
)
def test_refusals(arrays, hp, message):
    with pytest.raises(UserError, match=message):
        load_state_dict(arrays, "segmentation_nwm", **hp)


def test_a_network_of_one_layer_is_refused():
    arrays = filled.fill(filled.cnn())
    arrays["encoder.2.weight"] = np.zeros((4, 4, 1, 1))
    with pytest.raises(UserError, match="at least two 3x3 convolutions"):
        load_state_dict(arrays, "cnn")


def test_a_perceptron_of_any_depth_is_read_off():
    arrays = filled.fill(filled.nwm(2, hidden=()))
    # V is there, and not used by this readout.
    model = load_state_dict(arrays, "segmentation_nwm", **NWM | {"readout": "last"})
    assert len(model.head.layers) == 1
    assert model(filled.images(1, 3, 4)).shape == (1, 4, 4, 6)

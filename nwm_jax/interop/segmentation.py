"""Weights of the original segmentation models (arXiv:2502.06034) into ours.

Their words: `omega_encoder`, `alpha_encoder` and `hy_encoder` are stiffness, damping and
first position; `hy`, `hz` and `hc` of the LSTM its output, hidden state and memory;
`fc_time` is V of the linear readout, which every recurrent model of theirs holds and
only that readout uses. Images and fields are channel first there, channel last here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx

from nwm_jax.core.readouts import READOUTS, num_bins
from nwm_jax.errors import UserError, unknown
from nwm_jax.interop.state_dicts import Arrays
from nwm_jax.models.segmenter import ConvSegmenter, RecurrentSegmenter, Segmenter
from nwm_jax.models.unet import SCALES, UNet
from nwm_jax.modules import functional
from nwm_jax.modules.sheet_cells import ConvLSTM, WaveSheet

_Layer = dict[str, jax.Array]


def load(arrays: Arrays, model: str, hp: Mapping[str, Any]) -> Segmenter | UNet:
    """Builds a segmentation model.

    Args:
      arrays: the state dict.
      model: a key of `MODELS`.
      hp: what the arrays do not say, checked to have the right names.

    Returns:
      The model with these weights: ``[N, H, W, C] -> [N, H, W, K]``.

    Raises:
      UserError: unknown, missing or misshapen arrays, by name; an impossible hp.
    """
    make, params, statistics = MODELS[model][0](arrays, hp)
    arrays.check_all_taken()
    graphdef, _, state = functional.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    return functional.merge(graphdef, params, statistics or state)


def _conv(arrays: Arrays, name: str, inputs: int | None, outputs: int | None) -> _Layer:
    weight = arrays.take(f"{name}.weight", outputs, inputs, 3, 3)
    bias = arrays.take(f"{name}.bias", weight.shape[0])
    return {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}


def _stack(
    arrays: Arrays, name: str, inputs: int | None, layers: int
) -> dict[int, _Layer]:
    """A stack of convolutions; between them stand activations, which count too."""
    convs = {}
    for i in range(layers):
        convs[i] = _conv(arrays, f"{name}.{2 * i}", inputs, None)
        inputs = convs[i]["bias"].size
    return convs


def _perceptron(arrays: Arrays, name: str, inputs: int) -> dict[int, _Layer]:
    layers: dict[int, _Layer] = {}
    while not layers or f"{name}.{2 * len(layers)}.weight" in arrays:
        place = f"{name}.{2 * len(layers)}"
        weight = arrays.take(f"{place}.weight", None, inputs)
        bias = arrays.take(f"{place}.bias", weight.shape[0])
        layers[len(layers)] = {"kernel": weight.T, "bias": bias}
        inputs = bias.size
    return layers


def _widths(layers: dict[int, _Layer]) -> list[int]:
    return [layer["bias"].size for layer in layers.values()]


def _recurrent(
    arrays: Arrays,
    hp: Mapping[str, Any],
    cell: dict[str, Any],
    channels: int,
    make_cell: Callable[[nnx.Rngs], WaveSheet | ConvLSTM],
) -> tuple[Callable, dict[str, Any], None]:
    readout, num_steps = hp["readout"], hp["num_steps"]
    if readout not in READOUTS:
        raise unknown("readout", readout, READOUTS)
    if type(num_steps) is not int or num_steps < 1:
        raise UserError(f"num_steps={num_steps!r} must be a whole number of at least 1")
    bins = num_bins(num_steps)
    basis = None
    if readout == "linear" or "classifier.fc_time.weight" in arrays:
        basis = arrays.take("classifier.fc_time.weight", bins, num_steps)
    features = channels * (bins if readout in ("fft", "linear") else 1)
    head = _perceptron(arrays, "classifier.fc_readout", features)
    *hidden, classes = _widths(head)
    params = {"cell": cell, "head": {"layers": head}}
    if readout == "linear":
        params["readout"] = {"basis": basis}

    def make(rngs: nnx.Rngs) -> RecurrentSegmenter:
        return RecurrentSegmenter(
            make_cell(rngs), readout, num_steps, tuple(hidden), classes, rngs=rngs
        )

    return make, params, None


def _nwm(arrays: Arrays, hp: Mapping[str, Any]) -> tuple:
    kernel = arrays.take("classifier.cell.Wy.weight", None, None, 3, 3)
    channels = kernel.shape[0]
    stacks = {
        ours: _stack(arrays, f"classifier.{theirs}_encoder", None, layers)
        for ours, theirs, layers in (
            ("gamma", "omega", 3),
            ("alpha", "alpha", 3),
            ("x", "hy", 4),
        )
    }
    cell: dict[str, Any] = {name: {"convs": convs} for name, convs in stacks.items()}
    cell["coupling"] = kernel.transpose(2, 3, 1, 0)
    inputs, width = stacks["x"][0]["kernel"].shape[2:]

    def make_cell(rngs: nnx.Rngs) -> WaveSheet:
        dt = hp["dt"]
        return WaveSheet(inputs, channels, width=width, dt=dt, conv="auto", rngs=rngs)

    return _recurrent(arrays, hp, cell, channels, make_cell)


def _convlstm(arrays: Arrays, hp: Mapping[str, Any]) -> tuple:
    name = "classifier.recurrent_cell"
    gates = f"{name}.cell.conv.weight"
    channels = arrays.divide(gates, 0, 4)
    stacks = {
        ours: _stack(arrays, f"classifier.{theirs}_encoder", None, layers)
        for ours, theirs, layers in (("u", "hy", 4), ("h", "hz", 3), ("c", "hc", 3))
    }
    cell: dict[str, Any] = {key: {"convs": convs} for key, convs in stacks.items()}
    cell["gates"] = _conv(arrays, f"{name}.cell.conv", 2 * channels, 4 * channels)
    layers = _perceptron(arrays, f"{name}.transform_hidden", channels)
    cell["output"] = {"layers": layers}
    inputs, width = stacks["u"][0]["kernel"].shape[2:]

    def make_cell(rngs: nnx.Rngs) -> ConvLSTM:
        return ConvLSTM(inputs, channels, width=width, conv="auto", rngs=rngs)

    return _recurrent(arrays, hp, cell, channels, make_cell)


def _cnn(arrays: Arrays, hp: Mapping[str, Any]) -> tuple:
    depth = 0
    while (name := f"encoder.{2 * depth}.weight") in arrays:
        if arrays.take(name, None, None, None, None).shape[2:] == (1, 1):
            break
        depth += 1
    if depth < 2:
        arrays.refuse("encoder.0.weight", "at least two 3x3 convolutions")
    convs = _stack(arrays, "encoder", None, depth)
    channels = convs[depth - 1]["bias"].size
    weight = arrays.take(f"encoder.{2 * depth}.weight", None, channels, 1, 1)
    features = weight.shape[0]
    widen = {
        "kernel": weight.transpose(2, 3, 1, 0),
        "bias": arrays.take(f"encoder.{2 * depth}.bias", features),
    }
    head = _perceptron(arrays, "readout", features)
    *hidden, classes = _widths(head)
    inputs, width = convs[0]["kernel"].shape[2:]

    def make(rngs: nnx.Rngs) -> ConvSegmenter:
        return ConvSegmenter(
            inputs,
            depth,
            width=width,
            channels=channels,
            features=features,
            hidden=tuple(hidden),
            classes=classes,
            rngs=rngs,
        )

    params = {"convs": {"convs": convs}, "widen": widen, "head": {"layers": head}}
    return make, params, None


def _unet(arrays: Arrays, hp: Mapping[str, Any]) -> tuple:
    first = arrays.take("inc.double_conv.0.weight", None, None, 3, 3)
    width, inputs = first.shape[:2]

    def double(name: str, before: int, after: int) -> tuple[dict, dict]:
        convs, norms, statistics = {}, {}, {}
        for i, channels in enumerate((before, after)):
            weight = arrays.take(f"{name}.{3 * i}.weight", after, channels, 3, 3)
            convs[i] = {"kernel": weight.transpose(2, 3, 1, 0)}
            norm = f"{name}.{3 * i + 1}"
            norms[i] = {
                "scale": arrays.take(f"{norm}.weight", after),
                "shift": arrays.take(f"{norm}.bias", after),
            }
            statistics[i] = {
                "mean": arrays.take(f"{norm}.running_mean", after),
                "variance": arrays.take(f"{norm}.running_var", after),
            }
            if f"{norm}.num_batches_tracked" in arrays:
                arrays.take(f"{norm}.num_batches_tracked")  # of no use for a tenth
        return {"convs": convs, "norms": norms}, {"norms": statistics}

    params: dict[str, Any] = {"down": {}, "up": {}, "merge": {}}
    state: dict[str, Any] = {"down": {}, "merge": {}}
    params["first"], state["first"] = double("inc.double_conv", inputs, width)
    for i in range(SCALES):
        name, fine = f"down{i + 1}.maxpool_conv.1.double_conv", width * 2**i
        params["down"][i], state["down"][i] = double(name, fine, 2 * fine)
    for i in range(SCALES):
        name, coarse = f"up{i + 1}", width * 2 ** (SCALES - i)
        weight = arrays.take(f"{name}.up.weight", coarse, coarse // 2, 2, 2)
        params["up"][i] = {
            "kernel": weight.transpose(2, 3, 0, 1),
            "bias": arrays.take(f"{name}.up.bias", coarse // 2),
        }
        merged = double(f"{name}.conv.double_conv", coarse, coarse // 2)
        params["merge"][i], state["merge"][i] = merged
    weight = arrays.take("outc.conv.weight", None, width, 1, 1)
    classes = weight.shape[0]
    params["head"] = {
        "kernel": weight.transpose(2, 3, 1, 0),
        "bias": arrays.take("outc.conv.bias", classes),
    }
    return lambda rngs: UNet(inputs, width, classes, rngs=rngs), params, state


#: How the arrays of a model are read, and the hp that it needs and may have.
MODELS: dict[str, tuple[Callable[..., tuple], set[str], set[str]]] = {
    "segmentation_nwm": (_nwm, {"readout", "num_steps", "dt"}, set()),
    "convlstm": (_convlstm, {"readout", "num_steps"}, set()),
    "cnn": (_cnn, set(), set()),
    "unet": (_unet, set(), set()),
}

"""Weights of the original PyTorch programs into ours: sequence models, segmentation.

The originals are the programs of the wave RNN (arXiv:2309.08045), of the coRNN
(arXiv:2010.00951) and of the sequence part of Neural Wave Machines (ICML 2023). They
order a state by channel, then place; in ours the channel comes last. What we call
`alpha` is their `epsilon`. Sizes are read off the arrays. The models that segment
images (arXiv:2502.06034) are in `interop.segmentation`.
"""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from flax import nnx

from nwm_jax.core.wave import WaveHParams
from nwm_jax.errors import UserError, unknown
from nwm_jax.interop import segmentation
from nwm_jax.interop.state_dicts import Arrays, read
from nwm_jax.models.segmenter import Segmenter
from nwm_jax.models.sequences import SequenceClassifier, oscillators
from nwm_jax.models.unet import UNet
from nwm_jax.modules import functional
from nwm_jax.modules.oscillator_cell import OscillatorCell
from nwm_jax.modules.sequence_cells import WaveRNNCell

# The originals' words for activations, and ours.
ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "ident": "identity"}


class _Part(NamedTuple):
    """A cell, made of the stream of its argument, and the weights that go into it."""

    make: Callable[[nnx.Rngs], Any]
    weights: dict[str, jax.Array]
    channels: int


def load_state_dict(
    source: str | os.PathLike | Mapping[str, Any], model: str, **hp: Any
) -> SequenceClassifier | Segmenter | UNet:
    """Builds a model from the weights of an original PyTorch program.

    Args:
      source: a `state_dict`, {"cell.Wx.weight": array, ...}, or the path of a file that
        holds one: ".npz", ".safetensors", or ".pt" / ".pth", which needs PyTorch. The
        function is differentiable with respect to the arrays of a mapping.
      model: "wrnn" (shared or local kernels), "irnn", "cornn" (one layer for all, or
        one each for input, position and velocity), "nwm2d", "nwm1d" or "uncoupled"
        (without `cell.Wz` and `cell.Wy`, as it was saved on GPUs, both are 1); of those
        that segment "segmentation_nwm", "convlstm", "cnn" or "unet".
      hp: what the arrays do not say. "wrnn" and "irnn" need `activation` ("relu",
        "tanh" or "ident"), the others `dt`, `gamma` and `epsilon`. Where there are
        channels, `n_ch` may tell how many; arrays that say otherwise are refused.
        `every_step=True` answers after every step, not only at the end.
        "segmentation_nwm" needs `readout` ("last", "mean_time", "max_time", "fft" or
        "linear"), `num_steps` and `dt`, "convlstm" the first two, the others nothing.

    Returns:
      The classifier with these weights: ``[B, T, n_in] -> [B, n_out]``, or
      ``[B, T, n_out]`` with `every_step`; of those that segment, ``[B, H, W, C]`` in
      [0, 1] to logits ``[B, H, W, classes]`` (a U-Net with its stored statistics).

    Raises:
      UserError: unknown model; unknown or missing hp; a file that cannot be read;
        unknown, missing or misshapen arrays, by name.
    """
    known = _MODELS | segmentation.MODELS
    if model not in known:
        raise unknown("model", model, known)
    _, needed, optional = known[model]
    if model in _MODELS:
        optional = optional | {"every_step"}
    _check_hp(model, hp, needed, optional)
    given = read(source) if isinstance(source, (str, os.PathLike)) else source
    arrays = Arrays(given, model)
    if model in segmentation.MODELS:
        return segmentation.load(arrays, model, hp)
    cell = _MODELS[model][0](arrays, model, hp)
    layers = _readout(arrays, cell.weights["bias"].size, cell.channels)
    arrays.check_all_taken()

    def build() -> SequenceClassifier:
        rngs = nnx.Rngs(0)
        widths = [layer["bias"].size for layer in layers]
        return SequenceClassifier(
            cell.make(rngs),
            widths[-1],
            hidden=sum(widths[:-1]),
            every_step=hp.get("every_step", False),
            rngs=rngs,
        )

    graphdef, _, state = functional.split(nnx.eval_shape(build))
    params = {"cell": cell.weights, "readout": dict(enumerate(layers))}
    return functional.merge(graphdef, params, state)


def _check_hp(
    model: str, hp: Mapping[str, Any], needed: set[str], optional: set[str]
) -> None:
    if missing := needed - hp.keys():
        raise UserError(f"{model} also needs {', '.join(sorted(missing))}")
    for name in hp.keys() - needed - optional:
        raise unknown(f"hyper-parameter of {model}", name, sorted(needed | optional))
    if "activation" in needed and hp["activation"] not in ACTIVATIONS:
        raise unknown("activation", hp["activation"], ACTIVATIONS)


def _wrnn(arrays: Arrays, model: str, hp: Mapping[str, Any]) -> _Part:
    name = "cell.Wy.weight"
    local = arrays.rank(name) == 5
    if local:
        shape = arrays.take(name, 1, None, None, None, None).shape[1:]
        channels, _, units, size = shape
        kernel = arrays.take(name, 1, channels, channels, units, size)[0]
        coupling = kernel.transpose(2, 3, 1, 0)
        coupling_bias = arrays.take("cell.Wy.bias", 1, channels, units)[0].T
    else:
        channels, _, size = arrays.take(name, None, None, None).shape
        coupling = arrays.take(name, channels, channels, size).transpose(2, 1, 0)
        coupling_bias = arrays.take("cell.Wy.bias", channels)
        units = arrays.divide("cell.Wx.weight", 0, channels)
    _check_channels(name, channels, hp)
    arrays.check_odd(name, -1)
    weight = arrays.take("cell.Wx.weight", channels * units, None)
    inputs = weight.shape[1]
    weights = {
        "forcing": weight.reshape(channels, units, inputs).transpose(2, 1, 0),
        "bias": arrays.take("cell.Wx.bias", channels * units)
        .reshape(channels, units)
        .T,
        "coupling": coupling,
        "coupling_bias": coupling_bias,
    }
    hparams = WaveHParams(
        "local" if local else "ring",
        units,
        inputs,
        channels=channels,
        kernel_size=size,
        activation=ACTIVATIONS[hp["activation"]],
    )
    return _Part(lambda rngs: WaveRNNCell(hparams, rngs=rngs), weights, channels)


def _irnn(arrays: Arrays, model: str, hp: Mapping[str, Any]) -> _Part:
    width, inputs = arrays.take("cell.Wx.weight", None, None).shape
    channels = hp.get("n_ch", 1)
    weights = {
        "forcing": arrays.take("cell.Wx.weight", width, inputs).T,
        "bias": arrays.take("cell.Wx.bias", width),
        "coupling": arrays.take("cell.Wy.weight", width, width).T,
        "coupling_bias": arrays.take("cell.Wy.bias", width),
    }
    hparams = WaveHParams(
        "dense",
        arrays.divide("cell.Wx.weight", 0, channels),
        inputs,
        channels=channels,
        activation=ACTIVATIONS[hp["activation"]],
    )
    # A dense state is ordered as the original's, whatever its channels.
    return _Part(lambda rngs: WaveRNNCell(hparams, rngs=rngs), weights, 1)


def _cornn(arrays: Arrays, model: str, hp: Mapping[str, Any]) -> _Part:
    units = arrays.take("cell.i2h.bias", None).size
    if "cell.h2h1.weight" in arrays:
        weight = arrays.take("cell.i2h.weight", units, None)
        couple_x = arrays.take("cell.h2h1.weight", units, units)
        couple_v = arrays.take("cell.h2h2.weight", units, units)
    else:
        joint = arrays.take("cell.i2h.weight", units, None)
        inputs = joint.shape[1] - 2 * units
        if inputs < 1:
            arrays.refuse("cell.i2h.weight", f"({units}, n_in + {2 * units})")
        weight = joint[:, :inputs]
        couple_v = joint[:, inputs : inputs + units]
        couple_x = joint[:, inputs + units :]
    weights = {
        "forcing": weight.T,
        "bias": arrays.take("cell.i2h.bias", units),
        "coupling_x": couple_x.T,
        "coupling_v": couple_v.T,
    }
    return _oscillators(model, (units,), weights, hp)


def _nwm(arrays: Arrays, model: str, hp: Mapping[str, Any]) -> _Part:
    channels, _, *kernel = arrays.take("cell.Wz.weight", *[None] * 4).shape
    size = kernel[1]
    wanted = (channels, channels, size if model == "nwm2d" else 1, size)
    _check_channels("cell.Wz.weight", channels, hp)
    cells = arrays.divide("cell.Wx.weight", 0, channels)
    side = math.isqrt(cells)
    if side**2 != cells:
        arrays.refuse("cell.Wx.weight", "a square number of rows per channel")
    weight = arrays.take("cell.Wx.weight", channels * cells, None)
    inputs = weight.shape[1]
    weight = weight.reshape(channels, cells, inputs).transpose(2, 1, 0)
    bias = arrays.take("cell.Wx.bias", channels * cells).reshape(channels, cells).T
    weights = {
        "forcing": weight.reshape(inputs, -1),
        "bias": bias.reshape(side, side, channels),
    }
    for theirs, ours in (("cell.Wy", "x"), ("cell.Wz", "v")):
        array = arrays.take(f"{theirs}.weight", *wanted).transpose(2, 3, 1, 0)
        arrays.check_odd(f"{theirs}.weight", -1)
        weights[f"coupling_{ours}"] = array if model == "nwm2d" else array[0]
        weights[f"bias_{ours}"] = arrays.take(f"{theirs}.bias", channels)
    options = {"channels": channels, "kernel_size": size}
    return _oscillators(model, (side, side), weights, hp, **options)


def _uncoupled(arrays: Arrays, model: str, hp: Mapping[str, Any]) -> _Part:
    weight = arrays.take("cell.Wx.weight", None, None)
    units = weight.shape[0]
    weights = {
        "forcing": weight.T,
        "bias": arrays.take("cell.Wx.bias", units).reshape(1, units, 1),
    }
    trained = "cell.Wy" in arrays or "cell.Wz" in arrays
    if trained:
        weights["coupling_x"] = arrays.take("cell.Wy", 1).reshape(1, 1, 1)
        weights["coupling_v"] = arrays.take("cell.Wz", 1).reshape(1, 1, 1)
    return _oscillators(model, (1, units), weights, hp, train_scalars=trained)


def _oscillators(
    model: str,
    size: tuple[int, ...],
    weights: dict[str, jax.Array],
    hp: Mapping[str, Any],
    **options: Any,
) -> _Part:
    constants = {"dt": hp["dt"], "gamma": hp["gamma"], "alpha": hp["epsilon"]}

    def make(rngs: nnx.Rngs) -> OscillatorCell:
        return oscillators(
            model, size, weights["forcing"].shape[0], **constants, **options, rngs=rngs
        )

    return _Part(make, weights, options.get("channels", 1))


def _readout(arrays: Arrays, width: int, channels: int) -> list[dict[str, jax.Array]]:
    """One layer, or two with a ReLU between; the first sees the state in our order."""
    names = ["readout"]
    if "readout.0.weight" in arrays:
        names = ["readout.0", "readout.2"]
    layers: list[dict[str, jax.Array]] = []
    for name in names:
        weight = arrays.take(f"{name}.weight", None, width)
        bias = arrays.take(f"{name}.bias", weight.shape[0])
        if not layers:
            by_channel = weight.reshape(bias.size, channels, width // channels)
            weight = by_channel.swapaxes(1, 2).reshape(bias.size, width)
        layers.append({"kernel": weight.T, "bias": bias})
        width = bias.size
    return layers


def _check_channels(name: str, channels: int, hp: Mapping[str, Any]) -> None:
    if hp.get("n_ch", channels) != channels:
        raise UserError(f"{name} has {channels} channels, but n_ch={hp['n_ch']}")


_CONSTANTS = {"dt", "gamma", "epsilon"}
# How the arrays of a model are read, and the hp that it needs and may have.
_MODELS: dict[str, tuple[Callable[..., _Part], set[str], set[str]]] = {
    "wrnn": (_wrnn, {"activation"}, {"n_ch"}),
    "irnn": (_irnn, {"activation"}, {"n_ch"}),
    "cornn": (_cornn, _CONSTANTS, set()),
    "nwm2d": (_nwm, _CONSTANTS, {"n_ch"}),
    "nwm1d": (_nwm, _CONSTANTS, {"n_ch"}),
    "uncoupled": (_uncoupled, _CONSTANTS, set()),
}

"""The original's autoregressive models: names of their arrays, sizes, and builders.

Oscillators with the initial-condition network (Neural Wave Machines, ICML 2023) and
stacks of plain or gated cells (arXiv:2111.05458).
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from flax import nnx

from nwm_jax.core.oscillator_hparams import OscillatorHParams
from nwm_jax.errors import UserError
from nwm_jax.interop import image_networks
from nwm_jax.interop.image_networks import Arrays, agreed
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell
from nwm_jax.modules.oscillator_cell import OscillatorCell
from nwm_jax.modules.stacked import KINDS, StackedCell

_OSCILLATORS = {"nwm2d": NWM2DCell, "nwm1d": NWM1DCell, "cornn": CoRNNCell}
_GATED = {f"ar_{kind}": kind for kind in KINDS}
MODELS = (*_OSCILLATORS, *_GATED)

# Overrides, and what is taken where nobody says; num_ic_steps is then
# num_inference_steps for oscillators and 0 (no such network) for the others.
OPTIONS = {
    "num_inference_steps": None,
    "num_ic_steps": None,
    "num_target_steps": 60,
    "grid": None,
    "conv": "auto",
}
_INFERENCE_STEPS = {"oscillators": 31, "gated": 5}

_OSCILLATOR_NAMES = {
    "CORNN_0:gamma": "cell/gamma",
    "CORNN_0:alpha": "cell/alpha",
    "CORNN_0:dt": "cell/dt",
    "CORNN_0:b_bar": "cell/bias",
    "CORNN_0/~/CouplingNet:w": "cell/coupling_x",
    "CORNN_0/~/DampingCouplingNet:w": "cell/coupling_v",
    "CORNN_0/~/ForcingCouplingNet:w": "cell/forcing",
}
# Of a coupling: the original keeps a ring's first axis, which is 1.
_COUPLING_AXES = {"nwm2d": (4,), "nwm1d": (3, 4), "cornn": (2,)}
# Of one layer: what follows "LSTM_0" in the original, and our name.
_LAYER_NAMES = {
    "vanilla": {
        "/linear:w": "w_i",
        "/linear:b": "b_i",
        "/linear_1:w": "w_h",
        "/linear_1:b": "b_h",
    },
    "lstm": {"/linear:w": "w", "/linear:b": "b"},
    "gru": {":w_i": "w_i", ":w_h": "w_h", ":b": "b"},
}
_INITIAL_NAMES = {f"IC_Net_0:{name}": f"initial/{name}" for name in ("w_i", "w_h", "b")}


def settle(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Fills in the options that depend on the model.

    Args:
      model: one of `MODELS`.
      options: values for all of `OPTIONS`.

    Returns:
      The options, none of the numbers None.
    """
    settled = dict(options)
    family = "gated" if model in _GATED else "oscillators"
    if settled["num_inference_steps"] is None:
        settled["num_inference_steps"] = _INFERENCE_STEPS[family]
    if settled["num_ic_steps"] is None:
        steps = 0 if family == "gated" else settled["num_inference_steps"]
        settled["num_ic_steps"] = steps
    return settled


def names(
    model: str, given: Iterable[str], options: Mapping[str, Any]
) -> dict[str, str]:
    """The original's names of all arrays of a model, with the paths of ours.

    Args:
      model: one of `MODELS`.
      given: the names (or our paths) that there are; they tell the number of layers.
      options: settled options; without num_ic_steps there is no such network.

    Returns:
      {"module:name" of the original: "a/b/c" path in our pytree of parameters}.
    """
    table = image_networks.NAMES | (_INITIAL_NAMES if options["num_ic_steps"] else {})
    if model in _OSCILLATORS:
        return table | _OSCILLATOR_NAMES
    kind = _GATED[model]
    layer = re.compile(rf"(?:{kind.upper()}_|cell/layers/)(\d+)\b")
    result = [int(match[1]) for match in map(layer.match, given) if match]
    return table | {
        f"{kind.upper()}_{number}{theirs}": f"cell/layers/{number}/{ours}"
        for number in range(max(result, default=0) + 1)
        for theirs, ours in _LAYER_NAMES[kind].items()
    }


def build(model: str, arrays: Arrays, options: Mapping[str, Any]) -> Forecaster:
    """A forecaster of the sizes that the arrays show; its weights do not matter.

    Args:
      model: one of `MODELS`.
      arrays: the arrays by our paths, of the right ranks.
      options: settled options.

    Raises:
      UserError: sizes that contradict each other or the options.
    """
    rngs = nnx.Rngs(0)
    cell: StackedCell | OscillatorCell
    if model in _GATED:
        cell, decode = _stack(_GATED[model], arrays, rngs), "output"
    else:
        cell = _field(model, arrays, options["grid"], rngs)
        seen = arrays["decoder/project/kernel"].shape[0]
        # Decoders of positions only are half as long.
        decode = "output" if 2 * seen == cell.state_size else "state"
    return Forecaster(
        cell,
        image_networks.image_shape(arrays),
        num_observed=options["num_inference_steps"],
        num_ic=options["num_ic_steps"],
        train_length=options["num_target_steps"],
        decode=decode,
        conv_channels=image_networks.conv_channels(arrays),
        conv=options["conv"],
        rngs=rngs,
    )


def identify(module: nnx.Module) -> tuple[str, dict[str, Any]] | None:
    """The name of a model in the original's words, and its options; None if not ours."""
    if not isinstance(module, Forecaster):
        return None
    options = OPTIONS | {
        "num_inference_steps": module.num_observed,
        "num_ic_steps": module.num_ic,
        "num_target_steps": module.train_length,
    }
    if isinstance(module.cell, StackedCell):
        layer = type(module.cell.layers[0])
        return next(f"ar_{kind}" for kind, cell in KINDS.items() if cell is layer), (
            options
        )
    hparams = getattr(module.cell, "hparams", None)
    if not isinstance(hparams, OscillatorHParams):  # linear waves, or a user's cell
        return None
    topologies = {"torus": "nwm2d", "ring": "nwm1d", "dense": "cornn"}
    return topologies[hparams.topology], options


def _stack(kind: str, arrays: Arrays, rngs: nnx.Rngs) -> StackedCell:
    gates = {"vanilla": 1, "lstm": 4, "gru": 3}[kind]
    widths: list[int] = []
    while f"cell/layers/{len(widths)}/{_own(kind)[0]}" in arrays:
        shown = (arrays[f"cell/layers/{len(widths)}/{name}"] for name in _own(kind))
        widths.append(agreed(array.shape[-1] // gates for array in shown))
    return StackedCell(kind, image_networks.features(arrays), tuple(widths), rngs=rngs)


def _own(kind: str) -> list[str]:
    return list(_LAYER_NAMES[kind].values())


def _field(
    model: str, arrays: Arrays, grid: tuple[int, int] | None, rngs: nnx.Rngs
) -> OscillatorCell:
    bias = arrays["cell/bias"]
    features = image_networks.features(arrays)
    for theirs, path in _OSCILLATOR_NAMES.items():
        axes = _COUPLING_AXES[model]
        if theirs.endswith("Net:w") and arrays[path].ndim not in axes:
            raise UserError(
                f"{theirs} has shape {arrays[path].shape}, not {axes[-1]} axes"
            )
    forcing = arrays["cell/forcing"]
    couplings = [arrays[f"cell/coupling_{of}"].shape[-1] for of in "xv"]
    couplings.append(forcing.shape[-1])
    if model == "cornn":
        units = agreed([bias.size, *couplings])
        return CoRNNCell(units, input_channels=features // units, rngs=rngs)
    size = bias.shape[:2] if grid is None else tuple(grid)
    inputs = forcing.shape[-2]
    if bias.ndim != 3 or bias.shape[:2] != size or math.prod(size) * inputs != features:
        raise UserError(
            f"CORNN_0:b_bar has shape {bias.shape}, expected (height, width, channels) "
            f"of {'a grid' if grid is None else f'the grid {size}'} with "
            f"{features} inputs"
        )
    return _OSCILLATORS[model](
        size,
        channels=agreed([bias.shape[2], *couplings]),
        input_channels=inputs,
        kernel_size=forcing.shape[-3],
        rngs=rngs,
    )

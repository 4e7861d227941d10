"""Weights of the original Haiku forecasters into ours.

The originals are DeepMind's `physics_inspired_models` (arXiv:2111.05458) and its
extension by the authors of Neural Wave Machines. What we call `num_observed` and
`num_ic` are its `num_inference_steps` and `num_ic_steps`. Sizes are read off the arrays.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules import functional
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell, OscillatorCell

MODELS = ("nwm2d", "nwm1d", "cornn")

# Both networks' convolutions: block and index in the original's names, in the order of
# our lists.
_CONVS = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
_IMAGE_NETWORKS = {
    "Decoder:h": "decoder/constant",
    "Decoder/~spatial_de_aggregation/LinearProjection:w": "decoder/project/kernel",
    "Decoder/~spatial_de_aggregation/LinearProjection:b": "decoder/project/bias",
    "Encoder/~spatial_aggregation/LinearProjection:w": "encoder/project/kernel",
    "Encoder/~spatial_aggregation/LinearProjection:b": "encoder/project/bias",
} | {
    f"{network}/~/block_{block}/~/conv_2d_{index}:{theirs}": (
        f"{network.lower()}/convs/{number}/{ours}"
    )
    for network in ("Encoder", "Decoder")
    for number, (block, index) in enumerate(_CONVS)
    for theirs, ours in (("w", "kernel"), ("b", "bias"))
}
_OSCILLATORS = {
    "CORNN_0:gamma": "cell/gamma",
    "CORNN_0:alpha": "cell/alpha",
    "CORNN_0:dt": "cell/dt",
    "CORNN_0:b_bar": "cell/bias",
    "CORNN_0/~/CouplingNet:w": "cell/coupling_x",
    "CORNN_0/~/DampingCouplingNet:w": "cell/coupling_v",
    "CORNN_0/~/ForcingCouplingNet:w": "cell/forcing",
}
_INITIAL = {f"IC_Net_0:{name}": f"initial/{name}" for name in ("w_i", "w_h", "b")}


# What the arrays do not tell, and what is taken where nobody does; num_ic_steps is then
# num_inference_steps.
_OPTIONS = {
    "num_inference_steps": 31,
    "num_ic_steps": None,
    "num_target_steps": 60,
    "grid": None,
    "conv": "auto",
}


def names(model: str) -> dict[str, str]:
    """The original's names of all arrays of a model, with the paths of ours.

    Args:
      model: one of `MODELS`.

    Returns:
      {"module:name" of the original: "a/b/c" path in our pytree of parameters}.

    Raises:
      UserError: unknown model.
    """
    if model not in MODELS:
        raise UserError(f"unknown model {model!r}; choose one of {', '.join(MODELS)}")
    return _IMAGE_NETWORKS | _OSCILLATORS | _INITIAL


def load(params: Mapping[str, Any], model: str, **overrides: Any) -> Forecaster:
    """Builds a forecaster from the weights of the original program.

    Args:
      params: {"module:name": array}, or Haiku's nested {"module": {"name": array}}.
      model: "nwm2d", "nwm1d" or "cornn".
      overrides: what the arrays do not tell: `num_inference_steps` (31, observed
        frames), `num_ic_steps` (`num_inference_steps`), `num_target_steps` (60, length
        of a training clip; accepted for completeness), `grid` (checked against the
        arrays), `conv`.

    Returns:
      A `Forecaster` with these weights.

    Raises:
      UserError: unknown model or override; unknown, missing or misshapen arrays.
    """
    mapping = names(model)
    arrays = {k: np.asarray(v, np.float32) for k, v in _flatten(params).items()}
    _compare("missing", mapping.keys() - arrays.keys(), model)
    _compare("unknown", arrays.keys() - mapping.keys(), model)
    ours = {mapping[k]: v for k, v in arrays.items()}
    _compare("unknown", overrides.keys() - _OPTIONS.keys(), f"{model}'s overrides")
    options = _OPTIONS | overrides
    if options["num_ic_steps"] is None:
        options["num_ic_steps"] = options["num_inference_steps"]
    forecaster = nnx.eval_shape(lambda: _build(ours, model, options))
    graphdef, abstract, state = functional.split(forecaster)
    values = _fill(abstract, ours, {path: name for name, path in mapping.items()})
    return functional.merge(graphdef, values, state)


def _build(arrays: dict[str, np.ndarray], model: str, options: dict) -> Forecaster:
    """A forecaster of the sizes that the arrays show; its weights do not matter."""
    rngs = nnx.Rngs(0)
    features = arrays["encoder/project/bias"].shape[0]
    cells = arrays["encoder/project/kernel"].shape[0] // features
    side = 8 * round(cells**0.5)
    channels = arrays["encoder/convs/0/kernel"].shape[-2]
    return Forecaster(
        _build_cell(arrays, model, options["grid"], rngs),
        (side, side, channels),
        num_observed=options["num_inference_steps"],
        num_ic=options["num_ic_steps"],
        conv_channels=arrays["encoder/convs/0/kernel"].shape[-1],
        conv=options["conv"],
        rngs=rngs,
    )


def _build_cell(
    arrays: dict[str, np.ndarray],
    model: str,
    grid: tuple[int, int] | None,
    rngs: nnx.Rngs,
) -> OscillatorCell:
    bias, forcing = arrays["cell/bias"], arrays["cell/forcing"]
    if model == "cornn":
        units = bias.size
        return CoRNNCell(units, input_channels=forcing.shape[0] // units, rngs=rngs)
    if bias.ndim != 3 or (grid is not None and tuple(grid) != bias.shape[:2]):
        raise UserError(
            f"CORNN_0:b_bar has shape {bias.shape}, but a grid of {grid} needs "
            "(height, width, channels)"
        )
    kind = {"nwm2d": NWM2DCell, "nwm1d": NWM1DCell}[model]
    return kind(
        bias.shape[:2],
        channels=bias.shape[2],
        input_channels=forcing.shape[-2],
        kernel_size=forcing.shape[-3],
        rngs=rngs,
    )


def _flatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Haiku's two levels of names to one."""
    flat = {}
    for module, value in params.items():
        if isinstance(value, Mapping):
            flat |= {f"{module}:{name}": array for name, array in value.items()}
        else:
            flat[module] = value
    return flat


def _fill(abstract: Any, arrays: dict[str, np.ndarray], theirs: dict[str, str]) -> Any:
    """Puts arrays into the places of an abstract pytree, checking the shapes."""

    def take(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = "/".join(str(getattr(key, "key", key)) for key in path)
        array = arrays[name]
        # The original stores the kernels of rings as (1, k, C, D).
        if array.shape[:1] == (1,) and array.shape[1:] == leaf.shape:
            array = array[0]
        if array.shape != leaf.shape:
            raise UserError(
                f"{theirs[name]} has shape {array.shape}, expected {leaf.shape}"
            )
        return jax.numpy.asarray(array)

    return jax.tree_util.tree_map_with_path(take, abstract)


def _compare(problem: str, found: set[str], where: str) -> None:
    if found:
        raise UserError(f"{problem} in {where}: {', '.join(sorted(found))}")

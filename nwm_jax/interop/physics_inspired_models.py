"""Weights of the original Haiku programs into our models, and back.

The originals are DeepMind's `physics_inspired_models` (arXiv:2111.05458) and its
extension by the authors of Neural Wave Machines. What we call `num_observed` and
`num_ic` are its `num_inference_steps` and `num_ic_steps`. Sizes are read off the arrays.

A family of models is a module with

    MODELS                            what `load` calls them
    OPTIONS                           overrides and what is taken where nobody says
    settle(model, options)            the options, with what depends on the model
    names(model, given, options)      {"module:name" of the original: our path}
    build(model, arrays, options)     a model of these sizes (arrays: by our paths)
    identify(module)                  (model, options) of one of ours, None of others
"""

import importlib
import types
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from nwm_jax.errors import UserError, unknown
from nwm_jax.interop import forecasters
from nwm_jax.interop.checkpoints import read_checkpoint
from nwm_jax.models import ForecastModel
from nwm_jax.modules import functional

__all__ = ["MODELS", "dump", "load", "names", "read_checkpoint"]

_LATENT = ("hgn", "lgn", "ode", "rgn")
MODELS = (*forecasters.MODELS, *_LATENT)


def names(model: str, given: Iterable[str] = (), **overrides: Any) -> dict[str, str]:
    """The original's names of all arrays of a model, with the paths of ours.

    Args:
      model: one of `MODELS`.
      given: the names (or our paths) that there are; they tell the number of layers.
      overrides: as for `load`.

    Returns:
      {"module:name" of the original: "a/b/c" path in our pytree of parameters}.

    Raises:
      UserError: unknown model or override.
    """
    family = _family(model)
    return family.names(model, given, _settle(family, model, overrides))


def load(params: Mapping[str, Any], model: str, **overrides: Any) -> ForecastModel:
    """Builds a model from the weights of the original program.

    Args:
      params: {"module:name": array}, or Haiku's nested {"module": {"name": array}}, for
        example from `read_checkpoint`.
      model: "nwm2d", "nwm1d", "cornn", "ar_vanilla", "ar_lstm", "ar_gru", "hgn", "lgn",
        "ode" or "rgn".
      overrides: what the arrays do not tell. All: `num_inference_steps` (observed
        frames: 31 for oscillators, else 5), `num_target_steps` (60), `conv` (see
        `modules.conv.conv`). Oscillators and ar_*: `num_ic_steps`
        (num_inference_steps for oscillators, else 0: no initial-condition network),
        `grid` (checked against the arrays). The others: those of
        `interop.latent_dynamics.OPTIONS`.

    Returns:
      A model with these weights.

    Raises:
      UserError: unknown model or override; unknown, missing or misshapen arrays.
    """
    family = _family(model)
    options = _settle(family, model, overrides)
    given = {name: _array(name, value) for name, value in _flatten(params).items()}
    table = family.names(model, given, options)
    _compare("missing", table.keys() - given.keys(), model)
    _compare("unknown", given.keys() - table.keys(), model)
    arrays = {table[name]: array for name, array in given.items()}
    theirs = {path: name for name, path in table.items()}
    _check_ranks(arrays, theirs)
    abstract = nnx.eval_shape(lambda: family.build(model, arrays, options))
    graphdef, shapes, state = functional.split(abstract)
    state = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), state)
    return functional.merge(graphdef, _fill(shapes, arrays, theirs), state)


def dump(model: nnx.Module) -> dict[str, np.ndarray]:
    """The weights of one of our models under the original's names, the way back.

    Args:
      model: any model that `load` can give, trained here or there.

    Returns:
      {"module:name": float32 array}; `load` takes it as it is.

    Raises:
      UserError: a model that the original does not have.
    """
    for family in map(_family, (MODELS[0], _LATENT[0])):
        if result := family.identify(model):
            break
    else:
        raise UserError(
            f"the original has no {type(model).__name__} like this one; it has "
            f"{', '.join(MODELS)}"
        )
    leaves = jax.tree_util.tree_flatten_with_path(functional.split(model)[1])[0]
    arrays = {_path(keys): np.asarray(leaf) for keys, leaf in leaves}
    name, options = result
    table = family.names(name, arrays, family.settle(name, options))
    if arrays.keys() != set(table.values()):
        raise UserError(
            f"the original's {name} does not fit this model: they differ in "
            f"{', '.join(sorted(arrays.keys() ^ set(table.values())))}"
        )
    return {
        theirs: arrays[ours][None] if _is_ring(ours, arrays[ours]) else arrays[ours]
        for theirs, ours in table.items()
    }


def _family(model: str) -> types.ModuleType:
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    if model in forecasters.MODELS:
        return forecasters
    # Its solvers are not needed by the others.
    return importlib.import_module("nwm_jax.interop.latent_dynamics")


def _settle(
    family: types.ModuleType, model: str, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    wrong = overrides.keys() - family.OPTIONS.keys()
    _compare("unknown", wrong, f"{model}'s overrides")
    return family.settle(model, family.OPTIONS | overrides)


def _flatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Haiku's two levels of names to one."""
    flat: dict[str, Any] = {}
    for module, value in params.items():
        if isinstance(value, Mapping):
            flat |= {f"{module}:{name}": array for name, array in value.items()}
        else:
            flat[module] = value
    return flat


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise UserError(f"{name} is not an array of numbers") from None


def _check_ranks(arrays: Mapping[str, np.ndarray], theirs: Mapping[str, str]) -> None:
    """Sizes can be read off arrays only if they have the right number of axes."""
    ranks = {"kernel": 2, "w": 2, "w_i": 2, "w_h": 2, "constant": 3}
    ranks |= {"bias": 1, "b": 1, "b_i": 1, "b_h": 1}
    wrong = []
    for path, array in arrays.items():
        *parents, leaf = path.split("/")
        rank = 4 if "convs" in parents and leaf == "kernel" else ranks.get(leaf)
        # The couplings and biases of a field have the rank of the field.
        if rank is not None and parents != ["cell"] and array.ndim != rank:
            wrong.append(f"{theirs[path]} has shape {array.shape}, not {rank} axes")
    if wrong:
        raise UserError("; ".join(wrong))


def _fill(shapes: Any, arrays: dict[str, np.ndarray], theirs: dict[str, str]) -> Any:
    """Puts arrays into the places of an abstract pytree, checking the shapes."""
    wrong = []

    def take(keys: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        path = _path(keys)
        array = arrays[path]
        if _is_ring(path, leaf) and array.shape[:1] == (1,):
            array = array[0]
        if array.shape != leaf.shape:
            wrong.append(f"{theirs[path]} has shape {array.shape}, not {leaf.shape}")
        return jax.numpy.asarray(array)

    filled = jax.tree_util.tree_map_with_path(take, shapes)
    if wrong:
        raise UserError("; ".join(wrong))
    return filled


def _is_ring(path: str, array: Any) -> bool:
    """Whether this is a kernel of rings, which the original stores as (1, k, C, D)."""
    return path.startswith("cell/") and array.ndim == 3 and path != "cell/bias"


def _path(keys: tuple) -> str:
    return "/".join(str(getattr(key, "key", key)) for key in keys)


def _compare(problem: str, result: set[str], where: str) -> None:
    if result:
        raise UserError(f"{problem} in {where}: {', '.join(sorted(result))}")

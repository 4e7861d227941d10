"""Models as plain pytrees: split once, train functionally, merge where needed."""

from typing import Any, TypeVar

import jax
from flax import nnx

_Model = TypeVar("_Model", bound=nnx.Module)


def split(model: _Model) -> tuple[nnx.GraphDef[_Model], Any, Any]:
    """Takes a model apart.

    Args:
      model: any NNX module, concrete or abstract (from `nnx.eval_shape`).

    Returns:
      Its structure (static and hashable), its parameters, and everything else that is
      an array; the latter two as nested dicts of arrays.
    """
    graphdef, params, state = nnx.split(model, nnx.Param, ...)
    return graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(state)


def merge(graphdef: nnx.GraphDef[_Model], params: Any, state: Any) -> _Model:
    """Puts a model together again, the inverse of `split`."""
    return nnx.merge(graphdef, params, state)


def count(params: Any) -> int:
    """The number of parameters in a pytree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

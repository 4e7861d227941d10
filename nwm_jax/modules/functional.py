"""Models as plain pytrees: split once, train functionally, merge where needed."""

from typing import Any, TypeVar

import jax
from flax import nnx

Model = TypeVar("Model")


def split(model: Model) -> tuple[nnx.GraphDef[Model], Any, Any]:
    """Takes a model apart.

    Args:
      model: any NNX module, concrete or abstract (from `nnx.eval_shape`).

    Returns:
      Its structure (static and hashable), its parameters, and everything else that is
      an array; the latter two as nested dicts of arrays.
    """
    graphdef, *states = nnx.split(model, nnx.Param, ...)
    params, state = map(nnx.to_pure_dict, states)
    return graphdef, params, state


def merge(graphdef: nnx.GraphDef[Model], params: Any, state: Any) -> Model:
    """Puts a model together again, the inverse of `split`."""
    return nnx.merge(graphdef, params, state)


def count(params: Any) -> int:
    """The number of parameters in a pytree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))

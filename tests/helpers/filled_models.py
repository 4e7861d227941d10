"""Models with arbitrary weights that no generator has to be compiled for."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nwm_jax.modules import functional
from tests.helpers import numerics


def filled(build: Callable[[], nnx.Module], scale: float = 1.0) -> nnx.Module:
    """What `build` makes, with every parameter from the fill rule instead."""
    graphdef, params, state = functional.split(nnx.eval_shape(build))
    leaves, structure = jax.tree.flatten(params)
    arrays = [numerics.fill(leaf.shape, i, scale) for i, leaf in enumerate(leaves)]
    return functional.merge(graphdef, structure.unflatten(arrays), state)


def sheet_cell(cell):
    """Fills a 4 x 4 `topographic_cell` as the reference program's was, in float64."""
    k, n = np.arange(9), np.arange(16)
    kernel = (3, 3, 1, 1)
    values = {
        "coupling_x": 0.1 * np.sin(k + 1).reshape(kernel),
        "coupling_v": 0.1 * np.cos(k + 1).reshape(kernel),
        "forcing": 0.2 * np.sin(2 * (k + 1)).reshape(kernel),
        "bias": 0.05 * np.cos(n).reshape(4, 4, 1),
        "dt": -1.95,
        "gamma": 1.0,
        "alpha": 0.5,
    }
    for name, value in values.items():
        setattr(cell, name, nnx.Param(jnp.asarray(value, jnp.float64)))
    return cell

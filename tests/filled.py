"""Models with arbitrary weights that no generator has to be compiled for."""

from collections.abc import Callable

import jax
from flax import nnx

from nwm_jax.modules import functional
from tests import oracles

#: Compiler options for what runs once: half as long to compile, slower to run.
ONCE = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def filled(build: Callable[[], nnx.Module], scale: float = 1.0) -> nnx.Module:
    """What `build` makes, with every parameter from the fill rule instead."""
    graphdef, params, state = functional.split(nnx.eval_shape(build))
    leaves, structure = jax.tree.flatten(params)
    arrays = [oracles.fill(leaf.shape, i, scale) for i, leaf in enumerate(leaves)]
    return functional.merge(graphdef, structure.unflatten(arrays), state)

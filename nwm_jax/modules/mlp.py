"""Multilayer perceptrons with the benchmark's activation and initial weights."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.modules.layers import Linear


class MLP(nnx.Module):
    """``[..., inputs] -> [..., outputs]``: linear layers with swish between them.

    swish(x) = x sigmoid(x); none after the last layer (arXiv:2111.05458, appendix).

    Args:
      inputs: length of the input.
      outputs: length of the output.
      units: width of the hidden layers.
      layers: number of linear layers, the last one included, >= 1.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights, see `modules.layers.Linear`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        units: int,
        layers: int,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = [inputs, *[units] * (layers - 1), outputs]
        self.layers = nnx.List(
            Linear(before, after, param_dtype=param_dtype, dtype=dtype, rngs=rngs)
            for before, after in itertools.pairwise(sizes)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., inputs]`` to ``[..., outputs]``."""
        for layer in self.layers[:-1]:
            x = nnx.swish(layer(x))
        return self.layers[-1](x)


class ScalarMLP(MLP):
    """``[..., inputs] -> [...]``: an `MLP` with one output, such as an energy."""

    def __init__(
        self,
        inputs: int,
        *,
        units: int,
        layers: int,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        types = {"param_dtype": param_dtype, "dtype": dtype}
        super().__init__(inputs, 1, units=units, layers=layers, **types, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., inputs]`` to ``[...]``."""
        return super().__call__(x)[..., 0]

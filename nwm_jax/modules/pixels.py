"""Layers of segmentation models, with PyTorch's initial weights, as the original's."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core.layouts import Layout
from nwm_jax.core.wave import uniform
from nwm_jax.modules import conv
from nwm_jax.modules.dtypes import cast


class PixelConv(nnx.Module):
    """``y = kernel * x + bias``, zero padding, stride 1: ``[N, H, W, C] -> [N, H, W, O]``.

    Args:
      inputs: C.
      outputs: O.
      size: k, side of the kernel.
      bias: whether there is one.
      implementation: see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws kernel and bias, uniform in ±1/sqrt(k² C).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: int = 3,
        bias: bool = True,
        implementation: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        fan_in = size * size * inputs
        shape = (size, size, inputs, outputs)
        self.kernel = nnx.Param(uniform(rngs.params(), shape, fan_in, param_dtype))
        if bias:
            drawn = uniform(rngs.params(), (outputs,), fan_in, param_dtype)
            self.bias = nnx.Param(drawn)
        self.dtype = dtype
        self.has_bias = bias
        self.implementation = implementation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[N, H, W, C]`` to ``[N, H, W, O]``."""
        bias = self.bias[...] if self.has_bias else None
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], bias)
        if kernel.shape[:2] == (1, 1):
            y = x @ kernel[0, 0]
            return y if bias is None else y + bias
        return conv.conv(x, kernel, bias, implementation=self.implementation)


class ConvStack(nnx.Module):
    """3x3 convolutions with ReLU between them: ``[N, H, W, C_0] -> [N, H, W, C_n]``.

    Args:
      channels: C_0, ..., C_n.
      implementation: see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights, see `PixelConv`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        implementation: str,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        types = {"param_dtype": param_dtype, "dtype": dtype}
        self.convs = nnx.List(
            PixelConv(before, after, implementation=implementation, **types, rngs=rngs)
            for before, after in itertools.pairwise(channels)
        )

    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps ``[N, H, W, C_0]`` to ``[N, H, W, C_n]``; nothing after the last one."""
        for layer in self.convs[:-1]:
            images = jax.nn.relu(layer(images))
        return self.convs[-1](images)


class PixelDense(nnx.Module):
    """``y = x kernel + bias`` at every pixel of a field of any layout.

    Args:
      inputs: F.
      outputs: G.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws kernel and bias, uniform in ±1/sqrt(F).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        for name, shape in (("kernel", (inputs, outputs)), ("bias", (outputs,))):
            drawn = uniform(rngs.params(), shape, inputs, param_dtype)
            setattr(self, name, nnx.Param(drawn))
        self.dtype = dtype

    def __call__(self, layout: Layout, x: jax.Array) -> jax.Array:
        """Maps F channels to G."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], self.bias[...])
        return layout.dense(x, kernel) + layout.along_channels(bias)


class PixelMLP(nnx.Module):
    """A perceptron with ReLU at every pixel: sees nothing of its neighbours.

    Args:
      widths: channels before, between and after the layers.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights, see `PixelDense`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        types = {"param_dtype": param_dtype, "dtype": dtype}
        self.layers = nnx.List(
            PixelDense(before, after, **types, rngs=rngs)
            for before, after in itertools.pairwise(widths)
        )

    def __call__(self, layout: Layout, x: jax.Array) -> jax.Array:
        """Maps a field of features to a field of logits."""
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(layout, x))
        return self.layers[-1](layout, x)

"""Linear and convolution layers with the benchmark's initial weights."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import init
from nwm_jax.modules import conv, conv_layers, fast_conv
from nwm_jax.modules.devices import on_each_device
from nwm_jax.modules.dtypes import cast


class Linear(nnx.Module):
    """``y = x kernel + bias`` on the last axis: ``[..., F] -> [..., G]``.

    Args:
      inputs: F.
      outputs: G.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the kernel, a normal of ``1/sqrt(F)`` cut at two; the bias is zero.
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
        shape = (inputs, outputs)
        self.kernel = nnx.Param(init.linear(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros(outputs, param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., F]`` to ``[..., G]``."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], self.bias[...])
        return x @ kernel + bias


class Conv(nnx.Module):
    """Cross-correlation with bias, then perhaps a leaky ReLU: ``[N, H, W, C]``.

    Args:
      inputs: channels in.
      outputs: channels out.
      size: k, side of the kernel.
      stride: 1, or 2 to halve the image.
      padding: "SAME" (as XLA pads) or "VALID".
      upsample: repeat every pixel 2x2 before the convolution; 3x3, stride 1, SAME.
      slope: of the leaky ReLU that follows, ``max(z, slope z)``; 1: none follows.
      implementation: see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the kernel, a normal of ``1/sqrt(k² inputs)`` cut at two.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: int = 3,
        stride: int = 1,
        padding: str = "SAME",
        upsample: bool = False,
        slope: float = 1.0,
        implementation: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (size, size, inputs, outputs)
        self.kernel = nnx.Param(init.linear(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros(outputs, param_dtype))
        self.dtype = dtype
        self.stride = stride
        self.padding = padding
        self.upsample = upsample
        self.slope = slope
        self.implementation = implementation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[N, H, W, C]`` to ``[N, H', W', O]``: H' = H / stride (SAME) or 2 H."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], self.bias[...])
        like = {"slope": self.slope, "implementation": self.implementation}
        if self.upsample:
            return conv.upsample_conv(x, kernel, bias, **like)
        return conv.conv(
            x, kernel, bias, stride=self.stride, padding=self.padding, **like
        )


def run_convs(convs: nnx.List, x: jax.Array) -> jax.Array:
    """Applies convolutions one after the other.

    Args:
      convs: of `Conv`, all of the same implementation and types.
      x: images ``[N, H, W, C]``.

    Returns:
      ``[N, H', W', O]``.
    """
    if conv.resolve(convs[0].implementation) not in ("auto", "fast"):
        for layer in convs:
            x = layer(x)
        return x
    first = convs[0]
    conv.check(*cast(first.dtype, x, first.kernel[...], first.bias[...]))
    layers, weights, size = [], [], x.shape[1:3]
    for each in convs:
        x, kernel, bias = cast(each.dtype, x, each.kernel[...], each.bias[...])
        if each.upsample:
            layer, kernel = conv_layers.upsampling(size, kernel, each.slope)
        else:
            like = kernel.shape[:2], each.stride, each.padding, each.slope
            layer = conv_layers.correlation(size, *like)
        layers.append(layer)
        weights.append((kernel, bias))
        size = layer.size
    return on_each_device(
        lambda x, weights: fast_conv.stack(x, weights, tuple(layers)), x, weights
    )

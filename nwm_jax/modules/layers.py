"""Linear and convolution layers, and chains of them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import init as draws
from nwm_jax.core.layouts import IMAGES, Layout
from nwm_jax.modules import conv, conv_layers, fast_conv
from nwm_jax.modules.devices import on_each_device
from nwm_jax.modules.dtypes import cast

Activation = Callable[[jax.Array], jax.Array]


class Linear(nnx.Module):
    """``y = x kernel + bias`` on the channels, ``[..., F] -> [..., G]``.

    Args:
      inputs: F.
      outputs: G.
      init: how the weights are drawn, one of `core.init.LAYERS`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        init: str = "benchmark",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        drawn = draws.layer(init, rngs.params, (inputs, outputs), param_dtype)
        self.kernel, self.bias = nnx.Param(drawn[0]), nnx.Param(drawn[1])
        self.dtype = dtype

    def __call__(self, x: jax.Array, layout: Layout = IMAGES) -> jax.Array:
        """Maps F channels of a field in `layout` to G."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], self.bias[...])
        return layout.dense(x, kernel) + layout.along_channels(bias, x.ndim)


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
      bias: whether there is one.
      init: how the weights are drawn, one of `core.init.LAYERS`.
      implementation: see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights.
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
        bias: bool = True,
        init: str = "benchmark",
        implementation: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (size, size, inputs, outputs)
        drawn = draws.layer(init, rngs.params, shape, param_dtype, bias=bias)
        self.kernel = nnx.Param(drawn[0])
        self.bias = None if drawn[1] is None else nnx.Param(drawn[1])
        self.dtype = dtype
        self.stride = stride
        self.padding = padding
        self.upsample = upsample
        self.slope = slope
        self.implementation = implementation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[N, H, W, C]`` to ``[N, H', W', O]``: H' = H / stride (SAME) or 2 H."""
        x, kernel, bias = self._cast(x)
        if kernel.shape[:2] == (1, 1) and self.stride == self.slope == 1:
            y = x @ kernel[0, 0]
            return y if bias is None else y + bias
        like: dict[str, Any] = {
            "slope": self.slope,
            "implementation": self.implementation,
        }
        if self.upsample:
            return conv.upsample_conv(x, kernel, bias, **like)
        return conv.conv(
            x, kernel, bias, stride=self.stride, padding=self.padding, **like
        )

    def _cast(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """Returns images, kernel and bias in the type of the arithmetic."""
        bias = None if self.bias is None else self.bias[...]
        return cast(self.dtype, x, self.kernel[...], bias)


def linears(widths: Sequence[int], **options: Any) -> nnx.List[Linear]:
    """Returns linear layers for `chain`; `options` are those of `Linear`.

    Args:
      widths: channels before, between and after the layers.
      options: the keyword arguments of `Linear`.
    """
    return nnx.List(
        Linear(before, after, **options) for before, after in itertools.pairwise(widths)
    )


def chain(
    layers: Sequence[Callable[..., jax.Array]],
    activation: Activation,
    x: jax.Array,
    *args: Any,
) -> jax.Array:
    """Applies layers one after the other, an activation between them, none at the end.

    Args:
      layers: each is called with its input and `args`.
      activation: between two layers.
      x: input of the first layer.
      args: further arguments of every layer.
    """
    for layer in layers[:-1]:
        x = activation(layer(x, *args))
    return layers[-1](x, *args)


class MLP(nnx.Module):
    """Linear layers with an activation between them: ``[..., F] -> [..., G]``.

    Args:
      widths: channels before, between and after the layers, F first, G last.
      activation: between the layers; swish(x) = x sigmoid(x), as in the Hamiltonian
        benchmark (arXiv:2111.05458, appendix), unless another is named.
      options: the other keyword arguments of `Linear`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: Activation = nnx.swish,
        **options: Any,
    ) -> None:
        self.layers = linears(widths, **options)
        self.activation = activation

    def __call__(self, x: jax.Array, layout: Layout = IMAGES) -> jax.Array:
        """Maps F channels of a field in `layout` to G."""
        return chain(self.layers, self.activation, x, layout)


class ScalarMLP(nnx.Module):
    """``[..., F] -> [...]``: an `MLP` with one output, such as an energy.

    Args:
      widths: channels before and between the layers.
      options: as for `MLP`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: Activation = nnx.swish,
        **options: Any,
    ) -> None:
        self.layers = linears([*widths, 1], **options)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., F]`` to ``[...]``."""
        return chain(self.layers, self.activation, x)[..., 0]


class ConvStack(nnx.Module):
    """Convolutions with an activation between: ``[..., H, W, C] -> [..., H', W', O]``.

    Args:
      inputs: channels in.
      layers: channels, and perhaps size, stride and padding, after each convolution.
      activation: between the convolutions; none after the last.
      options: further keyword arguments of all of them, see `Conv`.
    """

    def __init__(
        self,
        inputs: int,
        layers: Sequence[tuple[int, int, int, str] | int],
        activation: Activation,
        **options: Any,
    ) -> None:
        shapes = [(n, 3, 1, "SAME") if isinstance(n, int) else n for n in layers]
        sizes = [inputs, *[outputs for outputs, *_ in shapes]]
        self.activation = activation
        self.convs = nnx.List(
            Conv(before, out, size=size, stride=stride, padding=padding, **options)
            for before, (out, size, stride, padding) in zip(sizes, shapes, strict=False)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., H, W, C]`` to ``[..., H', W', O]``."""
        y = chain(self.convs, self.activation, x.reshape(-1, *x.shape[-3:]))
        return y.reshape(*x.shape[:-3], *y.shape[1:])


def run_convs(convs: nnx.List[Conv], x: jax.Array) -> jax.Array:
    """Applies convolutions one after the other.

    Args:
      convs: all of the same implementation and types, and with a bias.
      x: images ``[N, H, W, C]``.

    Returns:
      ``[N, H', W', O]``.
    """
    if conv.resolve(convs[0].implementation) not in ("auto", "fast"):
        for each in convs:
            x = each(x)
        return x
    conv.check(*convs[0]._cast(x))
    layers, weights, size = [], [], x.shape[1:3]
    for each in convs:
        x, kernel, bias = each._cast(x)
        assert bias is not None  # see above
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

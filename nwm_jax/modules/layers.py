"""Linear and convolution layers with the benchmark's initial weights."""

import functools
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from flax import nnx

from nwm_jax.core import init
from nwm_jax.modules import conv
from nwm_jax.modules.images import over_images

SLOPE = 0.01


@jax.custom_vjp
def leaky_relu(x: jax.Array) -> jax.Array:
    """``max(x, 0.01 x)``, any shape.

    Its gradient is read off the result, which the next layer keeps anyway: keeping the
    argument too, as the automatic gradient does, costs a third of a decoder's memory.
    """
    return jnp.maximum(x, SLOPE * x)


def _leaky_relu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = leaky_relu(x)
    return y, y


def _leaky_relu_backward(y: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    return (jnp.where(y >= 0, gradient, SLOPE * gradient),)


leaky_relu.defvjp(_leaky_relu_forward, _leaky_relu_backward)


class Linear(nnx.Module):
    """``y = x kernel + bias`` on the last axis: ``[..., F] -> [..., G]``.

    Args:
      inputs: F.
      outputs: G.
      rngs: draws the kernel, a normal of ``1/sqrt(F)`` cut at two; the bias is zero.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(init.linear(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., F]`` to ``[..., G]``."""
        return x @ self.kernel[...] + self.bias[...]


class Conv(nnx.Module):
    """Cross-correlation with bias: ``[N, H, W, C]``.

    Args:
      inputs: channels in.
      outputs: channels out.
      size: k, side of the kernel.
      stride: 1, or 2 to halve the image.
      padding: "SAME" (as XLA pads) or "VALID".
      upsample: repeat every pixel 2x2 before the convolution; 3x3, stride 1, SAME.
      implementation: see `modules.conv.conv`.
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
        implementation: str = "auto",
        rngs: nnx.Rngs,
    ) -> None:
        shape = (size, size, inputs, outputs)
        self.kernel = nnx.Param(init.linear(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.stride = stride
        self.padding = padding
        self.upsample = upsample
        self.implementation = implementation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[N, H, W, C]`` to ``[N, H', W', O]``: H' = H / stride (SAME) or 2 H."""
        kernel = self.kernel[...]
        # Images are float32 also where the weights are float64.
        x = x.astype(jnp.promote_types(x.dtype, kernel.dtype))
        if self.upsample:
            y = conv.upsample_conv(x, kernel, implementation=self.implementation)
        else:
            y = conv.conv(
                x,
                kernel,
                stride=self.stride,
                padding=self.padding,
                implementation=self.implementation,
            )
        return y + self.bias[...]


def run_convs(
    convs: nnx.List,
    x: jax.Array,
    activation: Callable[[jax.Array], jax.Array],
    largest: tuple[int, int, int],
) -> jax.Array:
    """Applies convolutions one after the other, an activation between them.

    Args:
      convs: of `Conv`, all of the same implementation.
      x: images ``[N, H, W, C]``.
      activation: after every convolution but the last.
      largest: height, width and channels of the largest image on the way.

    Returns:
      ``[N, H', W', O]``.
    """

    def apply(layers: Iterable[Conv], x: jax.Array, last: Conv) -> jax.Array:
        for layer in layers:
            x = layer(x) if layer is last else activation(layer(x))
        return x

    fast = conv.resolve(convs[0].implementation) == "fast"
    if not fast or not conv.is_wide(largest[-1]):
        return apply(convs, x, convs[-1])
    graphdef, weights = nnx.split(convs)

    # The last image that is upsampled is as large as all before it together, and soon
    # made: it is not kept, but made once more for the gradient.
    upsampled = [i for i, layer in enumerate(convs) if layer.upsample]
    start = upsampled[-1] if upsampled else len(convs)

    def apply_few(weights: nnx.State, x: jax.Array) -> jax.Array:
        convs = nnx.merge(graphdef, weights)
        x = apply(convs[:start], x, convs[-1])
        # In the scan over images nothing can be merged with the forward pass.
        again = functools.partial(apply, convs[start : start + 2], last=convs[-1])
        x = jax.checkpoint(again, prevent_cse=False)(x)
        return apply(convs[start + 2 :], x, convs[-1])

    return over_images(apply_few, weights, x, largest)

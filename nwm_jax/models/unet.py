"""The U-Net that waves are compared with: two convolutions at each of five scales.

Ronneberger et al., arXiv:1505.04597, with batch normalisation, zero padding and a few
channels (arXiv:2502.06034, baseline).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core.init import uniform
from nwm_jax.core.layouts import IMAGES
from nwm_jax.core.segmentation import Sums
from nwm_jax.errors import UserError
from nwm_jax.models.segmenter import Measure
from nwm_jax.modules.dtypes import cast
from nwm_jax.modules.layers import Conv

SCALES = 4
_EPSILON = 1e-5
_MOMENTUM = 0.1


class BatchNorm(nnx.Module):
    """``y = scale (x - mean) / sqrt(variance + 1e-5) + shift`` of every channel.

    While training, mean and variance are those of the batch, and the stored ones move
    a tenth of the way to them (the variance without bias, as PyTorch stores it).

    Args:
      channels: C of ``[N, H, W, C]``.
      param_dtype: type of scale, shift and what is stored.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
    """

    def __init__(
        self,
        channels: int,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.scale = nnx.Param(jnp.ones(channels, param_dtype))
        self.shift = nnx.Param(jnp.zeros(channels, param_dtype))
        self.mean = nnx.BatchStat(jnp.zeros(channels, param_dtype))
        self.variance = nnx.BatchStat(jnp.ones(channels, param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Normalises ``[N, H, W, C]``."""
        weights = (self.scale, self.shift, self.mean, self.variance)
        x, scale, shift, mean, variance = cast(
            self.dtype, x, *(weight[...] for weight in weights)
        )
        if train:
            count = x.size // x.shape[-1]
            stored = self.mean[...], self.variance[...]
            mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
            batch = mean, variance * (count / max(count - 1, 1))
            for variable, old, new in zip(
                (self.mean, self.variance), stored, batch, strict=False
            ):
                moved = (1 - _MOMENTUM) * old + _MOMENTUM * new.astype(old.dtype)
                variable[...] = jax.lax.stop_gradient(moved)
        return (x - mean) * (scale * jax.lax.rsqrt(variance + _EPSILON)) + shift


class DoubleConv(nnx.Module):
    """Twice a 3x3 convolution without bias, batch normalisation and ReLU.

    Args:
      inputs: channels before.
      outputs: channels after each of the two.
      conv: see `modules.conv.conv`.
      rngs: draws the kernels, as PyTorch does.
      types: param_dtype and dtype of all layers.
    """

    def __init__(
        self, inputs: int, outputs: int, *, conv: str, rngs: nnx.Rngs, **types: Any
    ) -> None:
        torch = {"init": "torch", "rngs": rngs, **types}
        self.convs = nnx.List(
            Conv(before, outputs, bias=False, implementation=conv, **torch)
            for before in (inputs, outputs)
        )
        self.norms = nnx.List(BatchNorm(outputs, **types) for _ in range(2))

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps ``[N, H, W, C]`` to ``[N, H, W, O]``."""
        for layer, norm in zip(self.convs, self.norms, strict=False):
            x = jax.nn.relu(norm(layer(x), train))
        return x


class Upsample(nnx.Module):
    """A transposed convolution, 2x2 with stride 2: every pixel becomes four.

    Args:
      inputs: C.
      outputs: O.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws kernel and bias, uniform in ±1/sqrt(4 O).
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
        # PyTorch counts the fan-in on the axis of the outputs.
        shape, fan_in = (2, 2, inputs, outputs), 4 * outputs
        self.kernel, self.bias = (
            nnx.Param(uniform(rngs.params(), size, fan_in, param_dtype))
            for size in (shape, (outputs,))
        )
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[N, H, W, C]`` to ``[N, 2 H, 2 W, O]``."""
        n, height, width, _ = x.shape
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], self.bias[...])
        y = jnp.einsum("nhwc,uvco->nhuwvo", x, kernel)
        return y.reshape(n, 2 * height, 2 * width, -1) + bias


class UNet(nnx.Module):
    """``[N, H, W, C] -> [N, H, W, K]`` logits; H and W are multiples of 16.

    Args:
      inputs: channels of the image.
      width: channels at the finest scale; they double with each of the four others.
      classes: K.
      conv: see `modules.conv.conv`.
      rngs: draws the weights, all as PyTorch does.
      types: param_dtype and dtype of all layers, see `modules.layers.Linear`.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        classes: int,
        *,
        conv: str = "auto",
        rngs: nnx.Rngs,
        **types: Any,
    ) -> None:
        options = {"conv": conv, "rngs": rngs, **types}
        sizes = [width * 2**scale for scale in range(SCALES + 1)]
        self.first = DoubleConv(inputs, width, **options)
        self.down = nnx.List(
            DoubleConv(before, 2 * before, **options) for before in sizes[:-1]
        )
        coarse = sizes[:0:-1]
        self.up = nnx.List(
            Upsample(size, size // 2, rngs=rngs, **types) for size in coarse
        )
        self.merge = nnx.List(DoubleConv(size, size // 2, **options) for size in coarse)
        self.head = Conv(width, classes, size=1, init="torch", rngs=rngs, **types)

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Logits of every pixel.

        Args:
          images: ``[N, H, W, C]`` in [0, 1].
          train: normalise by the batch and move the stored statistics.

        Returns:
          ``[N, H, W, K]``.

        Raises:
          UserError: sides that cannot be halved four times.
        """
        side = 2**SCALES
        if images.shape[1] % side or images.shape[2] % side:
            raise UserError(
                f"a U-Net needs images whose sides are multiples of {side}, not "
                f"{images.shape[1]} x {images.shape[2]}"
            )
        images = images.astype(jnp.promote_types(images.dtype, jnp.float32))
        levels = [self.first(images, train)]
        for block in self.down:
            levels.append(block(_halve(levels[-1]), train))
        x = levels.pop()
        for upsample, block in zip(self.up, self.merge, strict=False):
            x = block(jnp.concatenate([levels.pop(), upsample(x)], axis=-1), train)
        return self.head(x)

    def score(
        self,
        images: jax.Array,
        labels: jax.Array,
        measure: Measure,
        train: bool = False,
    ) -> tuple[jax.Array, Sums]:
        """As `models.segmenter.Segmenter.score`."""
        sums = measure(IMAGES, self(images, train), labels)
        return sums["cross_entropy"].sum() / labels.size, sums


def _halve(x: jax.Array) -> jax.Array:
    """The maxima of 2x2 pixels."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))

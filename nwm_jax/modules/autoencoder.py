"""The benchmark's image networks: convolutional encoder, spatial-broadcast decoder.

Both follow Botev et al., arXiv:2111.05458 (appendix on architectures): three blocks
of 3x3 convolutions with leaky ReLU (slope 0.01), halving or doubling the image each.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.errors import UserError
from nwm_jax.modules.dtypes import cast
from nwm_jax.modules.layers import Conv, Linear, run_convs

NUM_BLOCKS = 3
SLOPE = 0.01


def coarse_shape(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the coarsest image, an eighth of the input's.

    Raises:
      UserError: height or width is not a multiple of 8.
    """
    height, width, _ = image_shape
    factor = 2**NUM_BLOCKS
    if height % factor or width % factor or not height or not width:
        raise UserError(
            f"images are {height}x{width}, but both sides must be multiples of "
            f"{factor}: crop or pad them"
        )
    return height // factor, width // factor


def _leaky_convs(
    inputs: int,
    channels: int,
    outputs: int,
    resize: dict[str, Any],
    *,
    slope: float,
    conv: str,
    types: dict[str, Any],
    rngs: nnx.Rngs,
) -> nnx.List[Conv]:
    """Blocks of two convolutions, the first with the options `resize`, and a last one.

    Leaky ReLUs stand between them, none after the last.
    """
    sizes = [inputs] + [channels] * (2 * NUM_BLOCKS) + [outputs]
    layers = [(resize, slope), ({}, slope)] * NUM_BLOCKS + [({}, 1.0)]
    return nnx.List(
        Conv(
            before,
            after,
            slope=slope,
            implementation=conv,
            rngs=rngs,
            **options,
            **types,
        )
        for (before, after), (options, slope) in zip(
            itertools.pairwise(sizes), layers, strict=True
        )
    )


class Encoder(nnx.Module):
    """Images to vectors: ``[..., H, W, C] -> [..., features]``.

    Args:
      image_shape: (H, W, C), sides multiples of 8.
      features: length of the output.
      channels: channels of the hidden convolutions (64 in the benchmark).
      conv: implementation of the convolution, see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        features: int,
        *,
        channels: int = 64,
        conv: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        height, width = coarse_shape(image_shape)
        types: dict[str, Any] = {"param_dtype": param_dtype, "dtype": dtype}
        self.convs = _leaky_convs(
            image_shape[-1],
            channels,
            features,
            {"stride": 2},
            slope=SLOPE,
            conv=conv,
            types=types,
            rngs=rngs,
        )
        # No activation lies between the last convolution and this projection.
        self.project = Linear(height * width * features, features, **types, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encodes ``[..., H, W, C]`` in [0, 1] as ``[..., features]``."""
        leading = images.shape[:-3]
        x = images.reshape(-1, *images.shape[-3:])
        x = run_convs(self.convs, x)
        return self.project(x.reshape(x.shape[0], -1)).reshape(*leading, -1)


class PlanesDecoder(nnx.Module):
    """Coarse planes to mean images in (0, 1): ``[..., H/8, W/8, P] -> [..., H, W, C]``.

    Args:
      image_shape: (H, W, C), sides multiples of 8.
      planes: P, channels of the coarsest image.
      channels: channels of the hidden convolutions (64 in the benchmark).
      slope: of the leaky ReLU between the convolutions, in (0, 1).
      conv: implementation of the convolution, see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        planes: int,
        channels: int = 64,
        slope: float = SLOPE,
        conv: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.image_shape = tuple(image_shape)
        shape = (*coarse_shape(image_shape), 2)
        self.constant = nnx.Param(jnp.ones(shape, param_dtype))
        self.dtype = dtype
        self.convs = _leaky_convs(
            planes + 2,
            channels,
            image_shape[-1],
            {"upsample": True},
            slope=slope,
            conv=conv,
            types={"param_dtype": param_dtype, "dtype": dtype},
            rngs=rngs,
        )

    def __call__(self, planes: jax.Array) -> jax.Array:
        """Decodes ``[..., H/8, W/8, P]`` to means ``[..., H, W, C]`` in (0, 1)."""
        leading = planes.shape[:-3]
        x = planes.reshape(-1, *planes.shape[-3:])
        x, constant = cast(self.dtype, x, self.constant[...])
        constant = jnp.broadcast_to(constant, (x.shape[0], *constant.shape))
        x = jnp.concatenate([constant, x], axis=-1)
        images = nnx.sigmoid(run_convs(self.convs, x))
        return images.reshape(*leading, *images.shape[1:])


class Decoder(PlanesDecoder):
    """Vectors to mean images in (0, 1): ``[..., features] -> [..., H, W, C]``.

    Args:
      features: length of the input.
      image_shape: (H, W, C), sides multiples of 8.
      planes: channels that the vector is projected to on the coarsest image.
      channels: channels of the hidden convolutions (64 in the benchmark).
      conv: implementation of the convolution, see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws the weights.
    """

    def __init__(
        self,
        features: int,
        image_shape: tuple[int, int, int],
        *,
        planes: int,
        channels: int = 64,
        conv: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.coarse_shape = coarse_shape(image_shape)
        types: dict[str, Any] = {"param_dtype": param_dtype, "dtype": dtype}
        self.project = Linear(
            features, math.prod(self.coarse_shape) * planes, **types, rngs=rngs
        )
        super().__init__(
            image_shape,
            planes=planes,
            channels=channels,
            conv=conv,
            **types,
            rngs=rngs,
        )

    def __call__(self, features: jax.Array) -> jax.Array:
        """Decodes ``[..., features]`` to means ``[..., H, W, C]`` in (0, 1)."""
        planes = self.project(features)
        return super().__call__(
            planes.reshape(*features.shape[:-1], *self.coarse_shape, -1)
        )

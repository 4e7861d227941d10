"""Models that say of every pixel what it belongs to (arXiv:2502.06034).

An image is encoded by convolutions, becomes features of every pixel, and a perceptron
that is the same at every pixel reads them. What a pixel knows of the rest of the image
came to it through the features: through the waves of a recurrent sheet, or through the
depth of a convolutional network.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nwm_jax.core import readouts
from nwm_jax.core.layouts import IMAGES, PLANES, Layout, to_planes
from nwm_jax.core.segmentation import Sums
from nwm_jax.models.compiled import compiled
from nwm_jax.modules import functional
from nwm_jax.modules.chunks import chunk_size, sum_over_chunks
from nwm_jax.modules.devices import on_each_device
from nwm_jax.modules.dtypes import cast
from nwm_jax.modules.layers import MLP, Conv, ConvStack
from nwm_jax.modules.sheet_cells import ConvLSTM, WaveSheet
from nwm_jax.modules.time_readout import TimeReadout

Measure = Callable[[Layout, jax.Array, jax.Array], Sums]

# Images that run together: their states fit into a cache, and fill vector registers.
_IMAGES_AT_ONCE = 16
# Bytes of the features of images that run together.
_FEATURE_BYTES = 64_000_000
# Pixels that go through the perceptron together.
_PIXELS_AT_ONCE = 2048


class Segmenter(nnx.Module):
    """Encoder, features, perceptron: ``[N, H, W, C] -> [N, H, W, K]`` logits.

    Args:
      head: the perceptron.
      conv: "xla" is the plain formulation: XLA's convolutions and automatic gradients,
        the whole time series and all activations kept. Any other (see
        `modules.conv.conv`) goes through a few images and pixels at a time.
    """

    def __init__(self, head: MLP, conv: str) -> None:
        self.head = head
        self.conv = conv

    @property
    def plain(self) -> bool:
        """Whether it is the plain formulation."""
        return self.conv == "xla"

    @abc.abstractmethod
    def encode(self, images: jax.Array) -> Any:
        """What the convolutions make of images: a pytree of fields ``[N, H, W, C]``."""

    @abc.abstractmethod
    def features(self, layout: Layout, fields: Any) -> jax.Array:
        """The features of every pixel, from fields in `layout`."""

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits of every pixel.

        Args:
          images: ``[N, H, W, C]`` in [0, 1].

        Returns:
          ``[N, H, W, K]``.
        """
        fields = self.encode(images)
        if self.plain:
            return self.head(self.features(IMAGES, fields))
        features = self.features(PLANES, jax.tree.map(to_planes, fields))
        return to_planes(self.head(features, PLANES))

    def score(
        self, images: jax.Array, labels: jax.Array, measure: Measure
    ) -> tuple[jax.Array, Sums]:
        """The mean cross-entropy of all pixels, and sums over the pixels of each image.

        Args:
          images: ``[N, H, W, C]`` in [0, 1].
          labels: int ``[N, H, W]``.
          measure: `core.segmentation.training_sums` or `all_sums`.

        Returns:
          A scalar, and what `measure` returns.
        """
        fields = self.encode(images)
        if self.plain:
            logits = self.head(self.features(IMAGES, fields))
            sums = measure(IMAGES, logits, labels)
            return sums["cross_entropy"].sum() / labels.size, sums
        graphdef, params, rest = functional.split(self)

        def on_device(examples: Any, weights: Any) -> tuple[jax.Array, Sums]:
            model = functional.merge(graphdef, weights, rest)
            fields, labels = examples
            total, sums = model._in_chunks(fields, labels, measure)
            return total[None], sums

        totals, sums = on_each_device(on_device, (fields, labels), params)
        return totals.sum() / labels.size, sums

    def _in_chunks(
        self, fields: Any, labels: jax.Array, measure: Measure
    ) -> tuple[jax.Array, Sums]:
        """Sum of the cross-entropy and `measure` of encoded images, a few at a time."""
        graphdef, params, rest = functional.split(self)
        count, height, width = labels.shape
        inputs = self.head.layers[0].kernel.shape[0]
        image_bytes = inputs * height * width * labels.dtype.itemsize
        most = max(1, min(_IMAGES_AT_ONCE, _FEATURE_BYTES // image_bytes))
        size = chunk_size(count, most)

        def few(weights: Any, fields: Any, labels: jax.Array) -> tuple[jax.Array, Sums]:
            model = functional.merge(graphdef, weights, rest)
            return _read_out(
                model.head, model.features(PLANES, fields), labels, measure
            )

        def cut(field: jax.Array) -> jax.Array:
            return to_planes(field.reshape(-1, size, *field.shape[1:]))

        fields = jax.tree.map(cut, fields)
        labels = jnp.moveaxis(labels.reshape(-1, size, height, width), 1, -1)
        total, sums = sum_over_chunks(few, params, fields, labels)
        return total, jax.tree.map(lambda s: s.reshape(count, *s.shape[2:]), sums)


def _read_out(
    head: MLP, features: jax.Array, labels: jax.Array, measure: Measure
) -> tuple[jax.Array, Sums]:
    """The perceptron and its errors, some pixels of all examples at a time.

    Args:
      head: the perceptron.
      features: planes ``[F, H, W, N]``.
      labels: ``[H, W, N]``.
      measure: see `Segmenter.score`.
    """
    graphdef, params, rest = functional.split(head)
    count, examples = features.shape[0], features.shape[-1]
    places = labels.size // examples
    size = chunk_size(places, max(1, _PIXELS_AT_ONCE // examples))

    def some(weights: Any, features: jax.Array, labels: jax.Array) -> Any:
        logits = functional.merge(graphdef, weights, rest)(features, PLANES)
        sums = measure(PLANES, logits, labels)
        return sums["cross_entropy"].sum(), sums

    features = features.reshape(count, -1, 1, size, examples).swapaxes(0, 1)
    labels = labels.reshape(-1, 1, size, examples)
    total, sums = sum_over_chunks(some, params, features, labels)
    return total, jax.tree.map(lambda s: s.sum(axis=0), sums)


def pixel_perceptron(widths: Sequence[int], **options: Any) -> MLP:
    """Returns the perceptron with ReLU that reads the features of each pixel."""
    return MLP(widths, activation=jax.nn.relu, init="torch", **options)


class RecurrentSegmenter(Segmenter):
    """A recurrent sheet that sees the image once, and a readout of its time series.

    Args:
      cell: `WaveSheet` or `ConvLSTM`.
      readout: one of `core.readouts.READOUTS`.
      num_steps: T.
      hidden: widths of the perceptron's hidden layers.
      classes: K.
      conv: see `Segmenter`.
      remat: see `TimeReadout.gather`; the plain formulation keeps all.
      rngs: draws the readout and the perceptron.
      types: param_dtype and dtype of all layers beside the cell, see
        `modules.layers.Linear`.
    """

    def __init__(
        self,
        cell: WaveSheet | ConvLSTM,
        readout: str,
        num_steps: int,
        hidden: tuple[int, ...],
        classes: int,
        *,
        conv: str = "auto",
        remat: int = 0,
        rngs: nnx.Rngs,
        **types: Any,
    ) -> None:
        self.cell = cell
        weights = {k: v for k, v in types.items() if k == "param_dtype"}
        self.readout = TimeReadout(readout, num_steps, rngs=rngs, **weights)
        features = readouts.num_features(readout, num_steps, cell.channels)
        sizes = [features, *hidden, classes]
        super().__init__(pixel_perceptron(sizes, rngs=rngs, **types), conv)
        self.remat = remat

    def encode(self, images: jax.Array) -> Any:
        """What the image sets, and the first state."""
        return self.cell.encode(images)

    def features(self, layout: Layout, fields: Any) -> jax.Array:
        """The readout of the time series."""
        scene, state = fields
        return self.readout.gather(
            lambda state: self.cell.step(layout, scene, state),
            self.cell.read,
            layout,
            state,
            remat=0 if self.plain else self.remat,
        )

    @compiled
    def states(self, images: jax.Array) -> jax.Array:
        """The time series of every pixel, for figures and analysis.

        Args:
          images: ``[N, H, W, C]``.

        Returns:
          ``[N, T, H, W, C]``: after each step positions, or outputs of the LSTM.
        """
        scene, state = jax.tree.map(to_planes, self.cell.encode(images))

        def one(state: Any, _: None) -> tuple[Any, jax.Array]:
            state = self.cell.step(PLANES, scene, state)
            return state, self.cell.read(state)

        _, series = jax.lax.scan(one, state, None, length=self.readout.num_steps)
        return jnp.moveaxis(to_planes(series), 0, 1)


class ConvSegmenter(Segmenter):
    """A plain convolutional network with a receptive field of (2 L + 1)² pixels.

    L 3x3 convolutions with ReLU, the last to `channels` only (as narrow as the sheets
    are); a 1x1 convolution to the features; the perceptron (arXiv:2502.06034, baseline).

    Args:
      inputs: channels of the image.
      depth: L >= 2.
      width: channels between the convolutions.
      channels: channels of the narrow place.
      features: features of a pixel.
      hidden: widths of the perceptron's hidden layers.
      classes: K.
      he: an ablation of ours: the convolutions are drawn for ReLU (He et al.,
        arXiv:1502.01852) and nothing is cut off at the narrow place. As the original
        draws them, deep networks begin with signals that vanish, some with both narrow
        channels dead.
      conv: see `Segmenter`.
      rngs: draws the weights.
      types: param_dtype and dtype of all layers, see `modules.layers.Linear`.
    """

    def __init__(
        self,
        inputs: int,
        depth: int,
        *,
        width: int,
        channels: int,
        features: int,
        hidden: tuple[int, ...],
        classes: int,
        he: bool = False,
        conv: str = "auto",
        rngs: nnx.Rngs,
        **types: Any,
    ) -> None:
        options = {"init": "he" if he else "torch", "implementation": conv, **types}
        widths = [*[width] * (depth - 1), channels]
        self.convs = ConvStack(inputs, widths, jax.nn.relu, **options, rngs=rngs)
        self.he = he
        options = {"rngs": rngs, **types}
        self.widen = Conv(channels, features, size=1, init="torch", **options)
        sizes = [features, *hidden, classes]
        super().__init__(pixel_perceptron(sizes, **options), conv)

    def encode(self, images: jax.Array) -> jax.Array:
        """The narrow place, ``[N, H, W, channels]``."""
        narrow = self.convs(images)
        return narrow if self.he else jax.nn.relu(narrow)

    def features(self, layout: Layout, fields: jax.Array) -> jax.Array:
        """The features, linear in the narrow place."""
        layer = self.widen
        assert layer.bias is not None  # drawn by __init__
        fields, kernel, bias = cast(
            layer.dtype, fields, layer.kernel[...][0, 0], layer.bias[...]
        )
        return layout.dense(fields, kernel) + layout.along_channels(bias, fields.ndim)

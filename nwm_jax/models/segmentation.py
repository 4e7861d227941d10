"""Segmentation models from the `model` part of a config."""

from collections.abc import Callable
from typing import Any

from flax import nnx

from nwm_jax.core.readouts import READOUTS, num_bins
from nwm_jax.errors import UserError, unknown
from nwm_jax.models.segmenter import ConvSegmenter, RecurrentSegmenter, Segmenter
from nwm_jax.models.unet import SCALES, UNet
from nwm_jax.modules.sheet_cells import ConvLSTM, WaveSheet

# (settings, image_shape, classes, *, conv, remat, rngs) -> model
Builder = Callable[..., Segmenter | UNet]


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
    **types: Any,
) -> Segmenter | UNet:
    """Builds the segmentation model that a config describes.

    Args:
      model: the config's `model`: name (of `BUILDERS`) and width. "nwm" and "convlstm":
        readout, num_steps, channels, units and hidden_layers (of the perceptron); "nwm"
        also dt. "cnn": depth, channels, features, he, units and hidden_layers.
      image_shape: (H, W, C).
      classes: K.
      conv: implementation of the convolutions, see `models.segmenter.Segmenter`.
      remat: time steps between two kept states, see
        `modules.time_readout.TimeReadout`.
      rngs: draws the weights.
      types: param_dtype and dtype of the whole model, see `modules.layers.Linear`; a
        builder of your own gets them only if the config sets them.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or sizes that do not fit.
    """
    if model.name not in BUILDERS:
        raise unknown("model.name", model.name, BUILDERS)
    options = {"conv": conv, "remat": remat, "rngs": rngs, **types}
    return BUILDERS[model.name](model, image_shape, classes, **options)


def _unet(
    model: Any,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    conv: str,
    remat: int,
    rngs: nnx.Rngs,
    **types: Any,
) -> UNet:
    del remat
    if image_shape[0] % 2**SCALES or image_shape[1] % 2**SCALES:
        raise UserError(
            f"a U-Net needs images whose sides are multiples of {2**SCALES}, not "
            f"{image_shape[0]} x {image_shape[1]}"
        )
    return UNet(image_shape[-1], model.width, classes, conv=conv, rngs=rngs, **types)


def _convolutions(
    model: Any,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    conv: str,
    remat: int,
    rngs: nnx.Rngs,
    **types: Any,
) -> ConvSegmenter:
    del remat
    return ConvSegmenter(
        image_shape[-1],
        model.depth,
        width=model.width,
        channels=model.channels,
        features=model.features,
        hidden=(model.units,) * model.hidden_layers,
        classes=classes,
        he=model.he,
        conv=conv,
        rngs=rngs,
        **types,
    )


def recurrent(make_cell: Callable[..., Any]) -> Builder:
    """Returns the builder of a recurrent sheet that is read out over time.

    Args:
      make_cell: ``(settings, inputs, *, width, conv, rngs) -> cell``, like those of
        `modules.sheet_cells`.
    """

    def build_one(
        model: Any,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        conv: str,
        remat: int,
        rngs: nnx.Rngs,
        **types: Any,
    ) -> RecurrentSegmenter:
        if model.readout not in READOUTS:
            raise unknown("model.readout", model.readout, READOUTS)
        sizes = {"width": model.width, "conv": conv, "rngs": rngs, **types}
        return RecurrentSegmenter(
            make_cell(model, image_shape[-1], **sizes),
            model.readout,
            model.num_steps,
            (model.units,) * model.hidden_layers,
            classes,
            conv=conv,
            remat=remat,
            rngs=rngs,
            **types,
        )

    return build_one


def _wave_sheet(model: Any, inputs: int, **sizes: Any) -> WaveSheet:
    return WaveSheet(inputs, model.channels, dt=model.dt, **sizes)


def _conv_lstm(model: Any, inputs: int, **sizes: Any) -> ConvLSTM:
    return ConvLSTM(inputs, model.channels, **sizes)


#: What builds a model, by the name that configs call it.
BUILDERS: dict[str, Builder] = {
    "nwm": recurrent(_wave_sheet),
    "convlstm": recurrent(_conv_lstm),
    "cnn": _convolutions,
    "unet": _unet,
}


def num_unused(model: Any) -> int:
    """Parameters that the original allocates beside ours and never uses.

    Each of its recurrent models holds the matrix V of the linear readout.

    Args:
      model: the config's `model`.
    """
    if "readout" not in model or model.readout == "linear":
        return 0
    return num_bins(model.num_steps) * model.num_steps

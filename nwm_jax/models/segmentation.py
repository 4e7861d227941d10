"""Segmentation models from the `model` part of a config."""

from typing import Any

from flax import nnx

from nwm_jax.core.readouts import READOUTS, num_bins
from nwm_jax.errors import UserError, unknown
from nwm_jax.models.segmenter import ConvSegmenter, RecurrentSegmenter, Segmenter
from nwm_jax.models.unet import SCALES, UNet
from nwm_jax.modules.sheet_cells import ConvLSTM, WaveSheet

MODELS = ("nwm", "convlstm", "cnn", "unet")


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
) -> Segmenter | UNet:
    """Builds the segmentation model that a config describes.

    Args:
      model: the config's `model`: name (of `MODELS`) and width. "nwm" and "convlstm":
        readout, num_steps, channels, units and hidden_layers (of the perceptron); "nwm"
        also dt. "cnn": depth, channels, features, he, units and hidden_layers.
      image_shape: (H, W, C).
      classes: K.
      conv: implementation of the convolutions, see `models.segmenter.Segmenter`.
      remat: time steps between two kept states, see
        `modules.time_readout.TimeReadout`.
      rngs: draws the weights.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or sizes that do not fit.
    """
    inputs = image_shape[-1]
    if model.name == "unet":
        if image_shape[0] % 2**SCALES or image_shape[1] % 2**SCALES:
            raise UserError(
                f"a U-Net needs images whose sides are multiples of {2**SCALES}, not "
                f"{image_shape[0]} x {image_shape[1]}"
            )
        return UNet(inputs, model.width, classes, conv=conv, rngs=rngs)
    if model.name not in MODELS:
        raise unknown("model.name", model.name, MODELS)
    hidden = (model.units,) * model.hidden_layers
    if model.name == "cnn":
        return ConvSegmenter(
            inputs,
            model.depth,
            width=model.width,
            channels=model.channels,
            features=model.features,
            hidden=hidden,
            classes=classes,
            he=model.he,
            conv=conv,
            rngs=rngs,
        )
    if model.readout not in READOUTS:
        raise unknown("model.readout", model.readout, READOUTS)
    sizes = {"width": model.width, "conv": conv, "rngs": rngs}
    if model.name == "nwm":
        cell = WaveSheet(inputs, model.channels, dt=model.dt, **sizes)
    else:
        cell = ConvLSTM(inputs, model.channels, **sizes)
    return RecurrentSegmenter(
        cell,
        model.readout,
        model.num_steps,
        hidden,
        classes,
        conv=conv,
        remat=remat,
        rngs=rngs,
    )


def num_unused(model: Any) -> int:
    """Parameters that the original allocates beside ours and never uses.

    Each of its recurrent models holds the matrix V of the linear readout.

    Args:
      model: the config's `model`.
    """
    if "readout" not in model or model.readout == "linear":
        return 0
    return num_bins(model.num_steps) * model.num_steps

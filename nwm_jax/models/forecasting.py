"""Models from the `model` part of a config."""

import math
from typing import Any

from flax import nnx

from nwm_jax.errors import unknown
from nwm_jax.models import ForecastModel
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.models.names import DECODE, GATED, LATENT, OSCILLATORS
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell, OscillatorCell
from nwm_jax.modules.stacked import StackedCell


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
) -> ForecastModel:
    """Builds the model that a config describes.

    Args:
      model: the config's `model`: name, conv_channels, num_observed, num_target and
        the fields of its family. Oscillators: grid, channels, num_ic, decode ("xv",
        or "x": positions only) and, on rings and tori, kernel_size (1: no coupling).
        Autoregressive: latent, units, layers and num_ic. Latent dynamics: see `models.latent_dynamics.build`.
      image_shape: (H, W, C) of the data.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time; 0 = off.
      rngs: draws the weights.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or sizes that do not fit each other.
    """
    if model.name in LATENT:
        # Its solvers are not needed by the others.
        from nwm_jax.models import latent_dynamics

        return latent_dynamics.build(
            model, image_shape, conv=conv, remat=remat, rngs=rngs
        )
    if model.name in OSCILLATORS:
        if model.decode not in DECODE:
            raise unknown("model.decode", model.decode, DECODE)
        cell, decode = _oscillators(model, rngs), DECODE[model.decode]
    elif model.name in GATED:
        widths = [model.units] * (model.layers - 1) + [model.latent]
        cell = StackedCell(GATED[model.name], model.latent, widths, rngs=rngs)
        decode = "output"
    else:
        raise unknown("model", model.name, (*OSCILLATORS, *GATED, *LATENT))
    return Forecaster(
        cell,
        image_shape,
        num_observed=model.num_observed,
        num_ic=model.num_ic,
        train_length=model.num_target,
        decode=decode,
        conv_channels=model.conv_channels,
        conv=conv,
        remat=remat,
        rngs=rngs,
    )


def _oscillators(model: Any, rngs: nnx.Rngs) -> OscillatorCell:
    if model.name == "cornn":
        return CoRNNCell(math.prod(model.grid) * model.channels, rngs=rngs)
    kind = NWM2DCell if model.name == "nwm2d" else NWM1DCell
    return kind(
        tuple(model.grid),
        channels=model.channels,
        kernel_size=model.kernel_size,
        rngs=rngs,
    )

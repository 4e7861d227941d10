"""Models from the `model` part of a config."""

import math
from collections.abc import Callable
from typing import Any

from flax import nnx

from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.errors import unknown
from nwm_jax.models import ForecastModel
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.models.names import DECODE, GATED, LATENT, LINEAR, OSCILLATORS
from nwm_jax.modules.cells import (
    CoRNNCell,
    NWM1DCell,
    NWM2DCell,
    RecurrentCell,
)
from nwm_jax.modules.linear_wave import LinearWaveCell
from nwm_jax.modules.oscillator_cell import OscillatorCell
from nwm_jax.modules.stacked import StackedCell

# (settings, image_shape, *, conv, remat, rngs) -> model
Builder = Callable[..., ForecastModel]
# (settings, rngs, **types) -> cell
MakeCell = Callable[..., RecurrentCell]


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
    **types: Any,
) -> ForecastModel:
    """Builds the model that a config describes.

    Args:
      model: the config's `model`: name, conv_channels, num_observed, num_target and
        the fields of its family. Oscillators: grid, channels, num_ic, decode ("xv",
        or "x": positions only) and, on rings and tori, kernel_size (1: no coupling).
        Linear waves: the same, scheme, gyroscopic, dt_range, gamma_range, alpha_range
        and coupling. Autoregressive: latent, units, layers and num_ic. Latent dynamics: see `models.latent_dynamics.build`.
      image_shape: (H, W, C) of the data.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time; 0 = off.
      rngs: draws the weights.
      types: param_dtype and dtype of the whole model, see `modules.layers.Linear`; a
        builder of your own gets them only if the config sets them.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or sizes that do not fit each other.
    """
    if model.name not in BUILDERS:
        raise unknown("model", model.name, BUILDERS)
    builder = BUILDERS[model.name]
    return builder(model, image_shape, conv=conv, remat=remat, rngs=rngs, **types)


def from_cell(make_cell: MakeCell, decode: str | None = None) -> Builder:
    """Returns the builder of a forecaster around a recurrent cell.

    Args:
      make_cell: ``(settings, rngs) -> cell``, a `modules.cells.RecurrentCell`.
      decode: what the decoder sees: "xv", the whole state, or "x", the cell's output;
        None: the setting "decode" says so, and "xv" where there is none.

    Returns:
      A builder whose settings are num_observed, num_target, num_ic (0: the cell starts
      with `initialize_carry`) and conv_channels, beside what `make_cell` reads.
    """

    def build_one(
        model: Any,
        image_shape: tuple[int, int, int],
        *,
        conv: str,
        remat: int,
        rngs: nnx.Rngs,
        **types: Any,
    ) -> ForecastModel:
        seen = decode or model.get("decode", "xv")
        if seen not in DECODE:
            raise unknown("model.decode", seen, DECODE)
        return Forecaster(
            make_cell(model, rngs, **types),
            image_shape,
            num_observed=model.num_observed,
            num_ic=model.num_ic,
            train_length=model.num_target,
            decode=DECODE[seen],
            conv_channels=model.conv_channels,
            conv=conv,
            remat=remat,
            rngs=rngs,
            **types,
        )

    return build_one


def _oscillator(model: Any, rngs: nnx.Rngs, **types: Any) -> OscillatorCell:
    if model.name == "cornn":
        return CoRNNCell(math.prod(model.grid) * model.channels, rngs=rngs, **types)
    kind = NWM2DCell if model.name == "nwm2d" else NWM1DCell
    return kind(
        tuple(model.grid),
        channels=model.channels,
        kernel_size=model.kernel_size,
        rngs=rngs,
        **types,
    )


def _linear(model: Any, rngs: nnx.Rngs, **types: Any) -> LinearWaveCell:
    hparams = LinearWaveHParams(
        "torus" if model.name == "lwm2d" else "ring",
        tuple(model.grid),
        channels=model.channels,
        kernel_size=model.kernel_size,
        forcing="pointwise",
        scheme=model.scheme,
        gyroscopic=model.gyroscopic,
        dt=tuple(model.dt_range),
        gamma=tuple(model.gamma_range),
        alpha=tuple(model.alpha_range),
        coupling=model.coupling,
    )
    return LinearWaveCell(hparams, rngs=rngs, **types)


def _stack(model: Any, rngs: nnx.Rngs, **types: Any) -> StackedCell:
    widths = (*[model.units] * (model.layers - 1), model.latent)
    return StackedCell(GATED[model.name], model.latent, widths, rngs=rngs, **types)


def _latent(
    model: Any, image_shape: tuple[int, int, int], **options: Any
) -> ForecastModel:
    # Its solvers are not needed by the others.
    from nwm_jax.models import latent_dynamics

    return latent_dynamics.build(model, image_shape, **options)


#: What builds a model, by the name that configs call it.
BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(OSCILLATORS, from_cell(_oscillator)),
    **dict.fromkeys(LINEAR, from_cell(_linear)),
    **dict.fromkeys(GATED, from_cell(_stack, "x")),
    **dict.fromkeys(LATENT, _latent),
}

"""Models from the `model` part of a config."""

from collections.abc import Callable
from typing import Any

from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules.cells import CoRNNCell, NWM1DCell, NWM2DCell, OscillatorCell


def _cornn(grid: tuple[int, int], channels: int, rngs: nnx.Rngs) -> CoRNNCell:
    return CoRNNCell(grid[0] * grid[1] * channels, rngs=rngs)


def _nwm(kind: type) -> Callable[..., OscillatorCell]:
    return lambda grid, channels, rngs: kind(grid, channels=channels, rngs=rngs)


CELLS: dict[str, Callable[..., OscillatorCell]] = {
    "nwm2d": _nwm(NWM2DCell),
    "nwm1d": _nwm(NWM1DCell),
    "cornn": _cornn,
}


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
) -> Forecaster:
    """Builds the forecaster that a config describes.

    Args:
      model: the config's `model`: name, grid, channels, conv_channels, num_observed
        and num_ic.
      image_shape: (H, W, C) of the data.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time; 0 = off.
      rngs: draws the weights.

    Returns:
      A `Forecaster`.

    Raises:
      UserError: unknown model, or sizes that do not fit each other.
    """
    if model.name not in CELLS:
        raise UserError(
            f"unknown model {model.name!r}; choose one of {', '.join(CELLS)}"
        )
    return Forecaster(
        CELLS[model.name](tuple(model.grid), model.channels, rngs),
        image_shape,
        num_observed=model.num_observed,
        num_ic=model.num_ic,
        conv_channels=model.conv_channels,
        conv=conv,
        remat=remat,
        rngs=rngs,
    )

"""The fields of oscillators as Haiku cores, for models in DeepMind's style.

They compute what `modules.cells` computes, by the same functions of `core.oscillator`,
and name their parameters the same: `functional.split(NWM2DCell(...))[1]` is what Haiku
keeps under "nwm2d". `docs/haiku.md` puts one into a model.
"""

import functools
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from nwm_jax.core import oscillator
from nwm_jax.core.oscillator import (
    OscillatorHParams,
    OscillatorParams,
    OscillatorState,
)

__all__ = ["NWM1D", "NWM2D", "CoRNN"]


class _Oscillators(hk.RNNCore):
    """A field of coupled oscillators (equations in `core.oscillator`)."""

    def __init__(self, hparams: OscillatorHParams, name: str) -> None:
        super().__init__(name=name)
        self.hparams = hparams

    def __call__(
        self, inputs: jax.Array, prev_state: OscillatorState
    ) -> tuple[jax.Array, OscillatorState]:
        """One time step.

        Args:
          inputs: ``[B, H, W, C_in]`` (NWM), ``[B, N C_in]`` (coRNN), or ``[B, F]``
            where `forcing` is "dense".
          prev_state: x and v, ``[B, *field]`` each.

        Returns:
          The new x, ``[B, *field]``, and the new state.
        """
        params = self._params()
        drive = oscillator.drive(self.hparams, params, inputs)
        state = oscillator.step(self.hparams, params, prev_state, drive)
        return state.x, state

    def initial_state(self, batch_size: int | None) -> OscillatorState:
        """A field at rest, without an axis of the batch if `batch_size` is None."""
        batch = () if batch_size is None else (batch_size,)
        zeros = jnp.zeros((*batch, *self.hparams.field_shape))
        return OscillatorState(zeros, zeros)

    def _params(self) -> OscillatorParams:
        drawn = None
        if hk.running_init():
            drawn = oscillator.init_params(hk.next_rng_key(), self.hparams)

        def get(name: str, leaf: jax.ShapeDtypeStruct | None) -> jax.Array | None:
            if leaf is None:
                return None
            return hk.get_parameter(
                name, leaf.shape, leaf.dtype, init=lambda *_: getattr(drawn, name)
            )

        shapes = _shapes(self.hparams)._asdict()
        return OscillatorParams(**{name: get(name, shapes[name]) for name in shapes})


@functools.cache
def _shapes(hparams: OscillatorHParams) -> OscillatorParams:
    return jax.eval_shape(
        lambda key: oscillator.init_params(key, hparams), jax.random.key(0)
    )


class NWM2D(_Oscillators):
    """The Neural Wave Machine on a torus: every cell feels its 3x3 neighbours.

    Args:
      grid: (H, W) of the sheet.
      name: of the module.
      options: other fields of `OscillatorHParams` (channels, input_channels, ...).

    Raises:
      UserError: options that do not fit together.
    """

    def __init__(
        self, grid: tuple[int, int], name: str = "nwm2d", **options: Any
    ) -> None:
        super().__init__(OscillatorHParams("torus", tuple(grid), **options), name)


class NWM1D(_Oscillators):
    """The Neural Wave Machine on rings: every cell feels its neighbours on its ring.

    Args:
      grid: (number of rings, cells of a ring).
      name: of the module.
      options: other fields of `OscillatorHParams` (channels, input_channels, ...).

    Raises:
      UserError: options that do not fit together.
    """

    def __init__(
        self, grid: tuple[int, int], name: str = "nwm1d", **options: Any
    ) -> None:
        super().__init__(OscillatorHParams("ring", tuple(grid), **options), name)


class CoRNN(_Oscillators):
    """The coupled oscillatory RNN: every unit feels every other (arXiv:2010.00951).

    Args:
      units: N.
      name: of the module.
      options: other fields of `OscillatorHParams` (forcing, dt, ...).

    Raises:
      UserError: options that do not fit together.
    """

    def __init__(self, units: int, name: str = "cornn", **options: Any) -> None:
        super().__init__(OscillatorHParams("dense", (units,), **options), name)

"""The recurrent cells as Haiku cores, for models in DeepMind's style.

They compute what `modules.cells` and `modules.sequence_cells` compute, by the same
functions of `core.oscillator` and `core.wave`, and name their parameters the same:
`functional.split(NWM2DCell(...))[1]` is what Haiku keeps under "nwm2d". `docs/haiku.md`
puts one into a model.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import haiku as hk
import jax
import jax.numpy as jnp

from nwm_jax.core import oscillator, wave
from nwm_jax.core.oscillator import (
    OscillatorHParams,
    OscillatorParams,
    OscillatorState,
)
from nwm_jax.core.wave import WaveHParams, WaveParams

__all__ = ["NWM1D", "NWM2D", "CoRNN", "IdentityRNN", "WaveRNN"]

_Params = TypeVar("_Params", bound=NamedTuple)


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
        return _get_params(oscillator.init_params, self.hparams)


def _get_params(init: Callable[[jax.Array, Any], _Params], hparams: Any) -> _Params:
    """The parameters of the module that calls, drawn by `init` at first."""
    drawn = init(hk.next_rng_key(), hparams) if hk.running_init() else None

    def get(name: str, leaf: jax.ShapeDtypeStruct | None) -> jax.Array | None:
        if leaf is None:
            return None
        return hk.get_parameter(
            name, leaf.shape, leaf.dtype, init=lambda *_: getattr(drawn, name)
        )

    shapes = _shapes(init, hparams)
    found = {name: get(name, leaf) for name, leaf in shapes._asdict().items()}
    return type(shapes)(**found)


@functools.cache
def _shapes(init: Callable[[jax.Array, Any], _Params], hparams: Any) -> _Params:
    return jax.eval_shape(lambda key: init(key, hparams), jax.random.key(0))


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


class _Waves(hk.RNNCore):
    """A wave RNN or an identity RNN (equations in `core.wave`)."""

    def __init__(self, hparams: WaveHParams, name: str) -> None:
        super().__init__(name=name)
        self.hparams = hparams

    def __call__(
        self, inputs: jax.Array, prev_state: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """One time step.

        Args:
          inputs: ``[B, F]``.
          prev_state: h, ``[B, n, C]``, or ``[B, N]`` of an identity RNN.

        Returns:
          The next h, twice.
        """
        params: WaveParams = _get_params(wave.init_params, self.hparams)
        drive = wave.drive(self.hparams, params, inputs)
        state = wave.step(self.hparams, params, prev_state, drive)
        return state, state

    def initial_state(self, batch_size: int | None) -> jax.Array:
        """Zeros, without an axis of the batch if `batch_size` is None."""
        batch = () if batch_size is None else (batch_size,)
        return jnp.zeros((*batch, *self.hparams.field_shape))


class WaveRNN(_Waves):
    """The wave RNN: a state that moves along rings (arXiv:2309.08045).

    Args:
      units: n, places of a ring.
      inputs: F, length of an input vector.
      name: of the module.
      options: other fields of `WaveHParams` (channels, activation, ...), and `local`:
        a kernel of its own for every place.

    Raises:
      UserError: options that do not fit together.
    """

    def __init__(
        self,
        units: int,
        inputs: int,
        name: str = "wave_rnn",
        *,
        local: bool = False,
        **options: Any,
    ) -> None:
        topology = "local" if local else "ring"
        super().__init__(WaveHParams(topology, units, inputs, **options), name)


class IdentityRNN(_Waves):
    """The identity RNN: every unit feels every other (arXiv:1504.00941).

    Args:
      units: N.
      inputs: F, length of an input vector.
      name: of the module.
      options: other fields of `WaveHParams` (activation, ...); if they do not say
        otherwise, the coupling is the identity at first and the input map is uniform.

    Raises:
      UserError: options that do not fit together.
    """

    def __init__(
        self, units: int, inputs: int, name: str = "identity_rnn", **options: Any
    ) -> None:
        options = {"coupling_init": "identity", "input_init": "uniform", **options}
        super().__init__(WaveHParams("dense", units, inputs, **options), name)

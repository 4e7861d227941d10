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
from jax.typing import DTypeLike

from nwm_jax.core import oscillator, wave
from nwm_jax.core.oscillator import (
    OscillatorHParams,
    OscillatorState,
)
from nwm_jax.core.oscillator_hparams import DEFAULT_DT, LEARNABLE
from nwm_jax.core.wave import WaveHParams, WaveParams

__all__ = ["NWM1D", "NWM2D", "CoRNN", "IdentityRNN", "WaveRNN"]

_Params = TypeVar("_Params", bound=NamedTuple)


class _Oscillators(hk.RNNCore):
    """A field of coupled oscillators (equations in `core.oscillator`)."""

    def __init__(
        self,
        hparams: OscillatorHParams,
        name: str,
        param_dtype: DTypeLike,
        dtype: DTypeLike | None,
    ) -> None:
        super().__init__(name=name)
        self.hparams = hparams
        self.param_dtype = param_dtype
        self.dtype = param_dtype if dtype is None else dtype

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
        params = _get_params(oscillator.init_params, self)
        inputs = jnp.asarray(inputs, self.dtype)
        drive = oscillator.drive(self.hparams, params, inputs)
        state = oscillator.step(self.hparams, params, prev_state, drive)
        return state.x, state

    def initial_state(self, batch_size: int | None) -> OscillatorState:
        """A field at rest, without an axis of the batch if `batch_size` is None."""
        batch = () if batch_size is None else (batch_size,)
        zeros = jnp.zeros((*batch, *self.hparams.field_shape), self.dtype)
        return OscillatorState(zeros, zeros)


def _get_params(init: Callable[..., _Params], core: Any) -> _Params:
    """The parameters of the core that calls, drawn by `init` at first, as it computes."""
    hparams, kind = core.hparams, core.param_dtype
    drawn = init(hk.next_rng_key(), hparams, kind) if hk.running_init() else None

    def get(name: str, leaf: jax.ShapeDtypeStruct | None) -> jax.Array | None:
        if leaf is None:
            return None
        array = hk.get_parameter(
            name, leaf.shape, leaf.dtype, init=lambda *_: getattr(drawn, name)
        )
        return jnp.asarray(array, core.dtype)

    shapes = _shapes(init, hparams, jnp.dtype(kind))
    leaves = {name: get(name, leaf) for name, leaf in shapes._asdict().items()}
    return type(shapes)(**leaves)


@functools.cache
def _shapes(init: Callable[..., _Params], hparams: Any, kind: jnp.dtype) -> _Params:
    return jax.eval_shape(lambda key: init(key, hparams, kind), jax.random.key(0))


class _Periodic(_Oscillators):
    """What the cores of both Neural Wave Machines share: their arguments."""

    _topology: str
    _name: str

    def __init__(
        self,
        grid: tuple[int, int],
        name: str | None = None,
        *,
        channels: int = 1,
        input_channels: int = 1,
        kernel_size: int = 3,
        kernel_fill: float = 1.0 / 9.0,
        forcing: str = "coupling",
        activation: str = "tanh",
        dt: float = DEFAULT_DT,
        gamma: float = 1.0,
        alpha: float = 0.5,
        learned: tuple[str, ...] = LEARNABLE,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
    ) -> None:
        hparams = OscillatorHParams(
            self._topology,
            grid,
            channels=channels,
            input_channels=input_channels,
            kernel_size=kernel_size,
            kernel_fill=kernel_fill,
            forcing=forcing,
            activation=activation,
            dt=dt,
            gamma=gamma,
            alpha=alpha,
            learned=learned,
        )
        super().__init__(hparams, name or self._name, param_dtype, dtype)


class NWM2D(_Periodic):
    """The Neural Wave Machine on a torus: every cell feels its neighbours.

    Args:
      grid: (H, W) of the sheet.
      name: of the module.
      channels: oscillators at every cell, coupled with each other too.
      input_channels: numbers of the input at every cell; length of the input vector
        where `forcing` is "dense".
      kernel_size: odd width of the neighbourhood.
      kernel_fill: mean of the initial kernels, finite.
      forcing: how inputs enter: "coupling" (through a kernel like the couplings),
        "identity" (as they are) or "dense" (a full matrix from a vector).
      activation: "tanh", "relu" or "identity".
      dt: first step size; in (0, 1) if it is learned.
      gamma: first stiffness, >= 0 if it is learned.
      alpha: first damping, >= 0 if it is learned.
      learned: which of "dt", "gamma", "alpha" are trained; the others are fixed.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    _topology = "torus"
    _name = "nwm2d"


class NWM1D(_Periodic):
    """The Neural Wave Machine on rings: every cell feels its neighbours on its ring.

    Args:
      grid: (number of rings, cells of a ring).
      name: of the module.
      channels: oscillators at every cell, coupled with each other too.
      input_channels: numbers of the input at every cell; length of the input vector
        where `forcing` is "dense".
      kernel_size: odd width of the neighbourhood.
      kernel_fill: mean of the initial kernels, finite.
      forcing: how inputs enter: "coupling" (through a kernel like the couplings),
        "identity" (as they are) or "dense" (a full matrix from a vector).
      activation: "tanh", "relu" or "identity".
      dt: first step size; in (0, 1) if it is learned.
      gamma: first stiffness, >= 0 if it is learned.
      alpha: first damping, >= 0 if it is learned.
      learned: which of "dt", "gamma", "alpha" are trained; the others are fixed.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    _topology = "ring"
    _name = "nwm1d"


class CoRNN(_Oscillators):
    """The coupled oscillatory RNN: every unit feels every other (arXiv:2010.00951).

    Args:
      units: N.
      name: of the module.
      input_channels: numbers of the input for every unit; length of the input vector
        where `forcing` is "dense".
      forcing: how inputs enter: "coupling" (through a kernel like the couplings),
        "identity" (as they are) or "dense" (a full matrix from a vector).
      activation: "tanh", "relu" or "identity".
      dt: first step size; in (0, 1) if it is learned.
      gamma: first stiffness, >= 0 if it is learned.
      alpha: first damping, >= 0 if it is learned.
      learned: which of "dt", "gamma", "alpha" are trained; the others are fixed.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    def __init__(
        self,
        units: int,
        name: str = "cornn",
        *,
        input_channels: int = 1,
        forcing: str = "coupling",
        activation: str = "tanh",
        dt: float = DEFAULT_DT,
        gamma: float = 1.0,
        alpha: float = 0.5,
        learned: tuple[str, ...] = LEARNABLE,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
    ) -> None:
        hparams = OscillatorHParams(
            "dense",
            (units,),
            input_channels=input_channels,
            forcing=forcing,
            activation=activation,
            dt=dt,
            gamma=gamma,
            alpha=alpha,
            learned=learned,
        )
        super().__init__(hparams, name, param_dtype, dtype)


class _Waves(hk.RNNCore):
    """A wave RNN or an identity RNN (equations in `core.wave`)."""

    def __init__(
        self,
        hparams: WaveHParams,
        name: str,
        param_dtype: DTypeLike,
        dtype: DTypeLike | None,
    ) -> None:
        super().__init__(name=name)
        self.hparams = hparams
        self.param_dtype = param_dtype
        self.dtype = param_dtype if dtype is None else dtype

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
        params: WaveParams = _get_params(wave.init_params, self)
        inputs = jnp.asarray(inputs, self.dtype)
        drive = wave.drive(self.hparams, params, inputs)
        state = wave.step(self.hparams, params, prev_state, drive)
        return state, state

    def initial_state(self, batch_size: int | None) -> jax.Array:
        """Zeros, without an axis of the batch if `batch_size` is None."""
        batch = () if batch_size is None else (batch_size,)
        return jnp.zeros((*batch, *self.hparams.field_shape), self.dtype)


class WaveRNN(_Waves):
    """The wave RNN: a state that moves along rings (arXiv:2309.08045).

    Args:
      units: n, places of a ring.
      inputs: F, length of an input vector.
      name: of the module.
      local: whether every place has a kernel of its own.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      options: other fields of `core.wave.WaveHParams` (channels, kernel_size,
        activation, coupling_init, input_init, speed, zero_coupling_bias, frozen).

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
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        **options: Any,
    ) -> None:
        topology = "local" if local else "ring"
        hparams = WaveHParams(topology, units, inputs, **options)
        super().__init__(hparams, name, param_dtype, dtype)


class IdentityRNN(_Waves):
    """The identity RNN: every unit feels every other (arXiv:1504.00941).

    Args:
      units: N.
      inputs: F, length of an input vector.
      name: of the module.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      options: other fields of `core.wave.WaveHParams` (activation, ...); if they do not say
        otherwise, the coupling is the identity at first and the input map is uniform.

    Raises:
      UserError: options that do not fit together.
    """

    def __init__(
        self,
        units: int,
        inputs: int,
        name: str = "identity_rnn",
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        **options: Any,
    ) -> None:
        options = {"coupling_init": "identity", "input_init": "uniform", **options}
        hparams = WaveHParams("dense", units, inputs, **options)
        super().__init__(hparams, name, param_dtype, dtype)

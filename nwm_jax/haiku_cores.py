"""The recurrent cells as Haiku cores, for models in DeepMind's style.

They compute what `modules.cells` and `modules.sequence_cells` compute, by the same
functions of `core.oscillator`, `core.linear_wave` and `core.wave`, and name their parameters the same:
`functional.split(NWM2DCell(...))[1]` is what Haiku keeps under "nwm2d". `docs/haiku.md`
puts one into a model.
"""

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nwm_jax.core import linear_wave, oscillator, wave
from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.oscillator_hparams import OscillatorHParams
from nwm_jax.core.wave import WaveHParams

__all__ = ["NWM1D", "NWM2D", "CoRNN", "IdentityRNN", "LinearWave", "WaveRNN"]

State = jax.Array | OscillatorState


class _Core(hk.RNNCore):
    """A recurrence of `core`: a module with the four functions of a cell."""

    functions: types.ModuleType

    def __init__(
        self,
        hparams: OscillatorHParams | LinearWaveHParams | WaveHParams,
        name: str,
        param_dtype: DTypeLike,
        dtype: DTypeLike | None,
    ) -> None:
        super().__init__(name=name)
        self.hparams = hparams
        self.param_dtype = param_dtype
        self.dtype = param_dtype if dtype is None else dtype

    def __call__(self, inputs: jax.Array, prev_state: State) -> tuple[jax.Array, State]:
        """Computes one time step.

        Args:
          inputs: ``[B, H, W, C_in]`` (NWM), ``[B, N C_in]`` (coRNN), or ``[B, F]`` of
            wave RNNs and where `forcing` is "dense".
          prev_state: x and v, ``[B, *field]`` each; of wave RNNs h, ``[B, n, C]`` or
            ``[B, N]``.

        Returns:
          The new x or h, and the new state.
        """
        params = self._params()
        drive = self.functions.drive(
            self.hparams, params, jnp.asarray(inputs, self.dtype)
        )
        state = self.functions.step(self.hparams, params, prev_state, drive)
        return state.x if isinstance(state, OscillatorState) else state, state

    def initial_state(self, batch_size: int | None) -> State:
        """Zeros, without an axis of the batch if `batch_size` is None."""
        batch = 1 if batch_size is None else batch_size
        state: State = self.functions.initial_state(self.hparams, batch, self.dtype)
        if batch_size is None:
            state = jax.tree.map(lambda s: s[0], state)
        return state

    def _params(self) -> NamedTuple:
        """The parameters, drawn by the first call, as the core computes with them."""
        init, kind = self.functions.init_params, jnp.dtype(self.param_dtype)
        drawn = None
        if hk.running_init():
            drawn = init(hk.next_rng_key(), self.hparams, kind)

        def get(name: str, leaf: jax.ShapeDtypeStruct | None) -> jax.Array | None:
            if leaf is None:
                return None
            array = hk.get_parameter(
                name, leaf.shape, leaf.dtype, init=lambda *_: getattr(drawn, name)
            )
            return jnp.asarray(array, self.dtype)

        shapes = _shapes(init, self.hparams, kind)
        return shapes._make(map(get, shapes._fields, shapes))


@functools.cache
def _shapes(
    init: Callable[..., NamedTuple], hparams: Any, kind: jnp.dtype
) -> NamedTuple:
    shapes: NamedTuple = jax.eval_shape(
        lambda key: init(key, hparams, kind), jax.random.key(0)
    )
    return shapes


class _Oscillators(_Core):
    """A field of coupled oscillators (equations in `core.oscillator`)."""

    functions = oscillator

    def __init__(
        self,
        topology: str,
        size: tuple[int, ...],
        name: str,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        **options: Any,
    ) -> None:
        hparams = OscillatorHParams(topology, size, **options)
        super().__init__(hparams, name, param_dtype, dtype)


def _with_signature(*hidden: str) -> Callable[[type], type]:
    """Shows the options of a core in `help`: fields of `OscillatorHParams`."""
    kept = inspect.signature(_Oscillators.__init__).parameters
    options = [kept["param_dtype"], kept["dtype"]]
    options += [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default
        )
        for field in dataclasses.fields(OscillatorHParams)
        if field.name not in ("topology", "size", "taps", *hidden)
    ]

    def decorate(core: type) -> type:
        init: Any = vars(core)["__init__"]
        *given, _ = inspect.signature(init).parameters.values()
        init.__signature__ = inspect.Signature([*given, *options])
        return core

    return decorate


@_with_signature()
class NWM2D(_Oscillators):
    """The Neural Wave Machine on a torus: every cell feels its neighbours.

    Args:
      grid: (H, W) of the sheet.
      name: of the module.
      options: as for `modules.cells.NWM2DCell`: channels, input_channels, kernel_size,
        kernel_fill, forcing, activation, dt, gamma, alpha, learned, param_dtype and
        dtype.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    def __init__(
        self, grid: tuple[int, int], name: str = "nwm2d", **options: Any
    ) -> None:
        super().__init__("torus", grid, name, **options)


@_with_signature()
class NWM1D(_Oscillators):
    """The Neural Wave Machine on rings: every cell feels its neighbours on its ring.

    Args:
      grid: (number of rings, cells of a ring).
      name: of the module.
      options: as for `NWM2D`.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    def __init__(
        self, grid: tuple[int, int], name: str = "nwm1d", **options: Any
    ) -> None:
        super().__init__("ring", grid, name, **options)


@_with_signature("channels", "kernel_size", "kernel_fill")
class CoRNN(_Oscillators):
    """The coupled oscillatory RNN: every unit feels every other (arXiv:2010.00951).

    Args:
      units: N.
      name: of the module.
      options: as for `modules.cells.CoRNNCell`: those of `NWM2D` without channels and
        those of kernels.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    def __init__(self, units: int, name: str = "cornn", **options: Any) -> None:
        super().__init__("dense", (units,), name, **options)


class LinearWave(_Core):
    """A field of linear oscillators whose waves are learned (`core.linear_wave`).

    Args:
      hparams: what the field is.
      name: of the module.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
    """

    functions = linear_wave

    def __init__(
        self,
        hparams: LinearWaveHParams,
        name: str = "linear_wave",
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(hparams, name, param_dtype, dtype)


class WaveRNN(_Core):
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

    functions = wave

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


class IdentityRNN(_Core):
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

    functions = wave

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

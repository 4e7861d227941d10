"""The benchmark's gated and plain cells as Flax NNX modules (equations: `core.gated`)."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import gated
from nwm_jax.core.gated import LSTMState
from nwm_jax.modules.core_cell import CoreCell, draw_carry


class _Parts(Protocol):
    """What `VectorCell` makes a cell from."""

    @property
    def state_size(self) -> int: ...

    @property
    def state_dtype(self) -> jnp.dtype: ...

    def drive(self, inputs: jax.Array) -> jax.Array: ...

    def step(self, state: Any, drive: jax.Array) -> Any: ...

    def output(self, state: Any) -> jax.Array: ...

    def unflatten(self, flat: jax.Array) -> Any: ...


class VectorCell(nnx.RNNCellBase):
    """Makes a recurrent cell of vectors from its parts.

    Subclasses have `state_size`, `state_dtype`, `drive`, `step`, `output` and `unflatten`.
    """

    @property
    def num_feature_axes(self) -> int:
        """Number of axes of one input after batch and time, as `nnx.RNN` asks."""
        return 1

    def __call__(self: _Parts, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        """One step on ``[..., F]``: the next state, and its output ``[..., N]``."""
        carry = self.step(carry, self.drive(inputs))
        return carry, self.output(carry)

    def initialize_carry(
        self: _Parts,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: nnx.Initializer | None = None,
    ) -> Any:
        """Zeros, or drawn by `carry_init` from the stream `carry`.

        Args:
          input_shape: shape of one input with its batch axes.
          rngs: its stream `carry` feeds `carry_init`.
          carry_init: an initializer ``(key, shape, dtype) -> array``; zeros if None.
        """
        shape = (*input_shape[:-1], self.state_size)
        return self.unflatten(draw_carry(shape, rngs, carry_init, self.state_dtype))


class _GatedCell(VectorCell, CoreCell):
    """One layer of the benchmark's recurrent networks; its state is one vector h.

    Subclasses name their four functions and the NamedTuple of weights in `core.gated`.
    """

    _params: type[Any]
    _init: Callable[..., Any]
    _drive: Callable[..., jax.Array]
    _step: Callable[..., Any]

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.units = units
        self.dtype = dtype
        self._store(self._init(rngs.params(), inputs, units, param_dtype))

    @property
    def params(self) -> Any:
        """The weights as the core takes them."""
        return self._load(self._params)

    @property
    def state_size(self) -> int:
        """Numbers in one state."""
        return self.units

    def drive(self, inputs: jax.Array) -> jax.Array:
        """The inputs' part of the pre-activations, for all times at once."""
        return self._drive(self.params, jnp.asarray(inputs, self.state_dtype))

    def step(self, state: Any, drive: jax.Array) -> Any:
        """One time step, see `core.gated`."""
        return self._step(self.params, state, drive)

    def output(self, state: Any) -> jax.Array:
        """h, ``[..., N]``."""
        h: jax.Array = state
        return h

    def flatten(self, state: Any) -> jax.Array:
        """State to vector, ``[..., state_size]``."""
        return self.output(state)

    def unflatten(self, flat: jax.Array) -> Any:
        """Vector to state, the inverse of `flatten`."""
        return flat


class VanillaCell(_GatedCell):
    """The benchmark's plain cell (`core.gated.vanilla_step`): ``[..., F] -> [..., N]``.

    Args:
      inputs: F.
      units: N.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.
    """

    _params = gated.VanillaParams
    _init = staticmethod(gated.init_vanilla)
    _drive = staticmethod(gated.vanilla_drive)
    _step = staticmethod(gated.vanilla_step)


class GRUCell(_GatedCell):
    """The benchmark's GRU (`core.gated.gru_step`): ``[..., F] -> [..., N]``.

    Args:
      inputs: F.
      units: N.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.
    """

    _params = gated.GRUParams
    _init = staticmethod(gated.init_gru)
    _drive = staticmethod(gated.gru_drive)
    _step = staticmethod(gated.gru_step)

    def scan(self, h: jax.Array, drives: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Many steps, for `core.unroll.unroll_scan`, see `core.gated.gru_scan`."""
        return gated.gru_scan(self.params, h, drives)


class LSTMCell(_GatedCell):
    """The benchmark's LSTM (`core.gated.lstm_step`): ``[..., F] -> [..., N]``.

    Its state is `core.gated.LSTMState(h, c)`.

    Args:
      inputs: F.
      units: N.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.
    """

    _params = gated.LSTMParams
    _init = staticmethod(gated.init_lstm)
    _drive = staticmethod(gated.lstm_drive)
    _step = staticmethod(gated.lstm_step)

    @property
    def state_size(self) -> int:
        """Numbers in one state: h and c."""
        return 2 * self.units

    def output(self, state: LSTMState) -> jax.Array:
        """h, ``[..., N]``."""
        return state.h

    def flatten(self, state: LSTMState) -> jax.Array:
        """State to vector, h before c: ``[..., 2N]``."""
        return jnp.concatenate(state, axis=-1)

    def unflatten(self, flat: jax.Array) -> LSTMState:
        """Vector to state, the inverse of `flatten`."""
        return LSTMState(*jnp.split(flat, 2, axis=-1))

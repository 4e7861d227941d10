"""Cells for long sequences of vectors, as Flax NNX modules.

`OscillatorCell` is one too. Each takes `[..., F]` and shows, beside the interface of
`nnx.RNNCellBase`, what a model of whole sequences wants: `unroll(state, inputs)` for all
steps in one scan with the input map inside, `field(state)` the state as it lies in space,
and `readable(state)` as the vector that a readout sees.
"""

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import wave
from nwm_jax.core.wave import WaveHParams, WaveParams
from nwm_jax.modules.core_cell import CoreCell, check_inputs, draw_carry


class SequenceCell(Protocol):
    """What a sequence model asks of a cell.

    Attributes:
      num_outputs: length of the vector that a readout sees.
      speed: places by which a wave moves in a step at first, on a ring; else None.
      has_neighbours: whether units feel those beside them, and not all or none.
    """

    @property
    def num_outputs(self) -> int:
        """Returns the length of one output."""

    @property
    def speed(self) -> float | None:
        """Returns how many places a wave moves in a step; None: it does not."""

    @property
    def has_neighbours(self) -> bool:
        """Returns whether units feel those beside them, and not all or none."""

    def initialize_carry(self, input_shape: tuple[int, ...]) -> Any:
        """Returns the state at rest for inputs ``[B, F]``."""

    def unroll(
        self,
        state: Any,
        inputs: jax.Array,
        *,
        remat: int = 0,
        implementation: str = "auto",
    ) -> tuple[Any, Any]:
        """Returns the last state and all of them, of inputs ``[B, T, F]``.

        The options are those of `core.wave.run`.
        """

    def field(self, state: Any) -> jax.Array:
        """Returns a state as it lies in space, for figures and analysis."""

    def readable(self, state: Any) -> jax.Array:
        """Returns what a readout sees of a state, ``[..., num_outputs]``."""


class WaveRNNCell(CoreCell):
    """The wave RNN and its relatives (equations in `core.wave`).

    `cell(carry, inputs) -> (carry, h)`; the carry is h itself, ``[..., n, C]``, or
    ``[..., N]`` if dense.

    Args:
      hparams: what the RNN is.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.
    """

    def __init__(
        self,
        hparams: WaveHParams,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.hparams = hparams
        self.dtype = dtype
        self._store(wave.init_params(rngs.params(), hparams, param_dtype))

    @property
    def params(self) -> WaveParams:
        """The weights as the core takes them."""
        return self._load(WaveParams)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input without batch and time: (F,)."""
        return (self.hparams.inputs,)

    @property
    def speed(self) -> float | None:
        """Places by which a wave moves in a step at first, on a ring; else None."""
        return self.hparams.speed

    @property
    def has_neighbours(self) -> bool:
        """Whether units feel those beside them, and not all or none."""
        return self.hparams.topology != "dense"

    @property
    def num_outputs(self) -> int:
        """Length of the vector that a readout sees: N."""
        return math.prod(self.hparams.field_shape)

    @property
    def num_feature_axes(self) -> int:
        """Number of axes of one input after batch and time, as `nnx.RNN` asks."""
        return 1

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """One step on ``[..., F]``: the next state, twice.

        Raises:
          UserError: inputs of another length.
        """
        drive = wave.drive(self.hparams, self.params, check_inputs(self, inputs))
        carry = wave.step(self.hparams, self.params, carry, drive)
        return carry, carry

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: nnx.Initializer | None = None,
    ) -> jax.Array:
        """Zeros ``[..., *field_shape]``, or drawn by `carry_init` from `carry`."""
        shape = (*input_shape[:-1], *self.hparams.field_shape)
        return draw_carry(shape, rngs, carry_init, self.state_dtype)

    def unroll(
        self,
        state: jax.Array,
        inputs: jax.Array,
        *,
        remat: int = 0,
        implementation: str = "auto",
    ) -> tuple[jax.Array, jax.Array]:
        """All steps of a sequence, see `core.wave.run`.

        Raises:
          UserError: inputs of another length.
        """
        inputs = check_inputs(self, inputs)
        return wave.run(
            self.hparams,
            self.params,
            state,
            inputs,
            remat=remat,
            implementation=implementation,
        )

    def field(self, state: jax.Array) -> jax.Array:
        """States as places and channels: ``[..., n, C]``."""
        if self.hparams.topology != "dense":
            return state
        shape = (*state.shape[:-1], self.hparams.channels, self.hparams.units)
        return jnp.swapaxes(state.reshape(shape), -1, -2)

    def readable(self, state: jax.Array) -> jax.Array:
        """States as vectors, ``[..., N]``: place by place, or as they are if dense."""
        lead = state.ndim - len(self.hparams.field_shape)
        return state.reshape(*state.shape[:lead], self.num_outputs)

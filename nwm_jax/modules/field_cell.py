"""What cells whose state is a field of oscillators share: shapes, and state as vector."""

import abc
import math

import jax
import jax.numpy as jnp
from flax import nnx

from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.oscillator_hparams import OscillatorHParams
from nwm_jax.modules.core_cell import CoreCell, check_inputs, draw_carry


class FieldCell(CoreCell):
    """A cell whose state is a field of oscillators, `OscillatorState(x, v)`.

    A subclass computes `drive`, `step` and `unroll`.

    Attributes:
      hparams: what the field is.
      pairing: of the vectors that `flatten` makes, see `models.Latents`.
      speed: None: waves of oscillators have no speed of their own at first.
    """

    hparams: OscillatorHParams | LinearWaveHParams
    pairing = "interleaved"
    speed = None

    @property
    @abc.abstractmethod
    def constants(self) -> dict[str, jax.Array | float]:
        """The dt, gamma and alpha that the equations take."""

    @property
    @abc.abstractmethod
    def has_neighbours(self) -> bool:
        """Whether oscillators feel those beside them, and not all or none."""

    @abc.abstractmethod
    def drive(self, inputs: jax.Array) -> jax.Array:
        """The inputs' part of the force: ``[..., *input_shape] -> [..., *field]``."""

    @abc.abstractmethod
    def step(self, state: OscillatorState, drive: jax.Array) -> OscillatorState:
        """One time step."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input without batch and time."""
        hparams = self.hparams
        if hparams.forcing == "dense":
            return (hparams.input_channels,)
        if hparams.topology == "dense":
            return (hparams.size[0] * hparams.input_channels,)
        return (*hparams.size, hparams.input_channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of x without batch and time."""
        return self.hparams.field_shape

    @property
    def state_size(self) -> int:
        """Numbers in one state: x and v of every oscillator."""
        return 2 * self.num_outputs

    @property
    def num_outputs(self) -> int:
        """Length of the vector that a readout sees: the number of oscillators."""
        return math.prod(self.hparams.field_shape)

    @property
    def num_feature_axes(self) -> int:
        """Number of axes of one input after batch and time, as `nnx.RNN` asks."""
        return len(self.input_shape)

    def __call__(
        self, carry: OscillatorState, inputs: jax.Array
    ) -> tuple[OscillatorState, jax.Array]:
        """One step on ``[..., *input_shape]``: the next state and its x.

        Returns:
          The state, and x ``[..., *field_shape]``.

        Raises:
          UserError: inputs of another shape.
        """
        carry = self.step(carry, self.drive(check_inputs(self, inputs)))
        return carry, carry.x

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: nnx.Initializer | None = None,
    ) -> OscillatorState:
        """A field at rest, or x and v drawn by `carry_init`.

        Args:
          input_shape: shape of one input with its batch axes.
          rngs: its stream `carry` feeds `carry_init`.
          carry_init: an initializer ``(key, shape, dtype) -> array``; zeros if None.
        """
        batch = input_shape[: len(input_shape) - len(self.input_shape)]
        shape = (*batch, *self.hparams.field_shape)
        drawn = (
            draw_carry(shape, rngs, carry_init, self.state_dtype) for _ in range(2)
        )
        return OscillatorState(*drawn)

    def output(self, state: OscillatorState) -> jax.Array:
        """The positions x of a state, ``[..., *field_shape]``."""
        return state.x

    def flatten(self, state: OscillatorState) -> jax.Array:
        """State to vector, x and v interleaved: ``[..., state_size]``.

        This is the layout of the original program's states, kept at the
        initial-condition network and the decoder so that its weights fit.
        """
        field = jnp.stack(state, axis=-1)
        batch = field.ndim - len(self.hparams.field_shape) - 1
        return field.reshape(*field.shape[:batch], -1)

    def unflatten(self, flat: jax.Array) -> OscillatorState:
        """Vector to state, the inverse of `flatten`."""
        field = flat.reshape(*flat.shape[:-1], *self.hparams.field_shape, 2)
        return OscillatorState(field[..., 0], field[..., 1])

    def field(self, state: OscillatorState) -> jax.Array:
        """Positions as they lie in space: ``[..., H, W, C]`` or ``[..., N]``."""
        return state.x

    def readable(self, state: OscillatorState) -> jax.Array:
        """Positions as vectors, ``[..., N]``, the last axis of the field fastest."""
        lead = state.x.ndim - len(self.hparams.field_shape)
        return state.x.reshape(*state.x.shape[:lead], self.num_outputs)

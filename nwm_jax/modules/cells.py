"""Recurrent cells as Flax NNX modules; they run unchanged in `nnx.RNN`.

Each is a thin class over the four functions of `core`. Beside the interface of
`nnx.RNNCellBase` a cell shows its parts, so that a model can take the drive out of the
loop: `drive(inputs)` for all times at once, `step(state, drive)` inside the scan.
"""

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from nwm_jax.core import oscillator
from nwm_jax.core.oscillator import (
    OscillatorHParams,
    OscillatorParams,
    OscillatorState,
)
from nwm_jax.errors import UserError


class RecurrentCell(Protocol):
    """What a model may ask of a recurrent cell.

    The state is a pytree of arrays ``[B, ...]``. `drive` needs no state, so that a model
    computes it for all times at once, outside of the scan over `step`.

    Attributes:
      input_shape: shape of one input without batch and time.
      output_shape: shape of one output without batch and time.
      state_size: numbers in one state.
    """

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    @property
    def state_size(self) -> int: ...

    def initialize_carry(self, input_shape: tuple[int, ...]) -> Any:
        """Returns the state at rest for inputs ``[B, *input_shape]``."""

    def drive(self, inputs: jax.Array) -> Any:
        """Returns what enters from outside, of inputs ``[..., *input_shape]``."""

    def step(self, state: Any, drive: Any) -> Any:
        """Returns the state after one time step."""

    def output(self, state: Any) -> jax.Array:
        """Returns the output of a state, ``[..., *output_shape]``."""

    def flatten(self, state: Any) -> jax.Array:
        """Returns a state as vectors ``[..., state_size]``."""

    def unflatten(self, flat: jax.Array) -> Any:
        """Returns the state of vectors ``[..., state_size]``."""


def draw_carry(
    shape: tuple[int, ...],
    rngs: nnx.Rngs | nnx.RngStream | None,
    carry_init: nnx.Initializer | None,
) -> jax.Array:
    """One array of a state: zeros, or drawn by `carry_init` from the stream `carry`."""
    if carry_init is None:
        return jnp.zeros(shape)
    if rngs is None:
        raise ValueError("carry_init needs rngs")
    key = rngs() if isinstance(rngs, nnx.RngStream) else rngs.carry()
    return carry_init(key, shape, jnp.float32)


class CoreCell(nnx.RNNCellBase):
    """Keeps each array of a core's NamedTuple of parameters as a `nnx.Param`."""

    def _store(self, params: Any) -> None:
        for name, value in params._asdict().items():
            setattr(self, name, None if value is None else nnx.Param(value))

    def _load(self, kind: type) -> Any:
        arrays = {name: getattr(self, name) for name in kind._fields}
        return kind(**{k: None if p is None else p[...] for k, p in arrays.items()})


class OscillatorCell(CoreCell):
    """A field of coupled oscillators (equations in `core.oscillator`).

    `cell(carry, inputs) -> (carry, x)`; the carry is `OscillatorState(x, v)` with the
    batch axes of the inputs. `NWM2DCell`, `NWM1DCell` and `CoRNNCell` are its shapes.

    Args:
      hparams: what the field is.
      rngs: draws the weights from the stream `params`.
    """

    def __init__(self, hparams: OscillatorHParams, *, rngs: nnx.Rngs) -> None:
        self.hparams = hparams
        self._store(oscillator.init_params(rngs.params(), hparams))

    @property
    def params(self) -> OscillatorParams:
        """The weights as the core takes them."""
        return self._load(OscillatorParams)

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
        return 2 * math.prod(self.hparams.field_shape)

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
        self._check(inputs)
        carry = self.step(carry, self.drive(inputs))
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
        return OscillatorState(
            draw_carry(shape, rngs, carry_init), draw_carry(shape, rngs, carry_init)
        )

    def drive(self, inputs: jax.Array) -> jax.Array:
        """The inputs' part of the force: ``[..., *input_shape] -> [..., *field]``."""
        return oscillator.drive(self.hparams, self.params, inputs)

    def step(self, state: OscillatorState, drive: jax.Array) -> OscillatorState:
        """One time step, see `core.oscillator.step`."""
        return oscillator.step(self.hparams, self.params, state, drive)

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

    def _check(self, inputs: jax.Array) -> None:
        shape = self.input_shape
        if inputs.shape[-len(shape) :] != shape:
            raise UserError(
                f"{type(self).__name__} takes inputs [..., "
                f"{', '.join(map(str, shape))}], but got {inputs.shape}"
            )


class NWM2DCell(OscillatorCell):
    """The Neural Wave Machine on a torus: every cell feels its 3x3 neighbours.

    Args:
      grid: (H, W) of the sheet.
      rngs: draws the weights.
      options: other fields of `OscillatorHParams` (channels, input_channels, ...).
    """

    def __init__(
        self, grid: tuple[int, int], *, rngs: nnx.Rngs, **options: Any
    ) -> None:
        super().__init__(OscillatorHParams("torus", tuple(grid), **options), rngs=rngs)


class NWM1DCell(OscillatorCell):
    """The Neural Wave Machine on rings: every cell feels its neighbours on its ring.

    Args:
      grid: (number of rings, cells of a ring).
      rngs: draws the weights.
      options: other fields of `OscillatorHParams` (channels, input_channels, ...).
    """

    def __init__(
        self, grid: tuple[int, int], *, rngs: nnx.Rngs, **options: Any
    ) -> None:
        super().__init__(OscillatorHParams("ring", tuple(grid), **options), rngs=rngs)


class CoRNNCell(OscillatorCell):
    """The coupled oscillatory RNN: every unit feels every other (arXiv:2010.00951).

    Args:
      units: N.
      rngs: draws the weights.
      options: other fields of `OscillatorHParams` (forcing, dt, ...).
    """

    def __init__(self, units: int, *, rngs: nnx.Rngs, **options: Any) -> None:
        super().__init__(OscillatorHParams("dense", (units,), **options), rngs=rngs)

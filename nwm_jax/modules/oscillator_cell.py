"""A field of coupled oscillators as a Flax NNX module."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import oscillator, oscillator_init
from nwm_jax.core.elbo import standardise
from nwm_jax.core.oscillator import OscillatorParams, OscillatorState
from nwm_jax.core.oscillator_hparams import OscillatorHParams
from nwm_jax.modules.core_cell import CoreCell, check_inputs, draw_carry
from nwm_jax.modules.devices import in_cache


class OscillatorCell(CoreCell):
    """A field of coupled oscillators (equations in `core.oscillator`).

    `cell(carry, inputs) -> (carry, x)`; the carry is `OscillatorState(x, v)` with the
    batch axes of the inputs. `NWM2DCell`, `NWM1DCell` and `CoRNNCell` are its shapes. It
    is a `modules.cells.RecurrentCell`, and where its forcing is "dense" also a
    `modules.sequence_cells.SequenceCell`.

    Args:
      hparams: what the field is.
      init: which program's first weights it has, see `core.oscillator_init.draw`.
      state_norm: whether positions are normalised after every step: over all positions
        of a state together, with a weight and a bias per oscillator.
      implementation: of the couplings, see `core.coupling.couple`.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Attributes:
      pairing: of the vectors that `flatten` makes, see `models.Latents`.
      speed: None: waves of oscillators have no speed of their own at first.
    """

    pairing = "interleaved"
    speed = None

    def __init__(
        self,
        hparams: OscillatorHParams,
        *,
        init: str = "benchmark",
        state_norm: bool = False,
        implementation: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.hparams = hparams
        self.dtype = dtype
        self.implementation = implementation
        params, extra = oscillator_init.draw(init, rngs.params, hparams, param_dtype)
        self._store(params)
        self._extra = tuple(extra)
        if state_norm:
            extra = extra | {
                "norm_scale": jnp.ones(hparams.field_shape, param_dtype),
                "norm_bias": jnp.zeros(hparams.field_shape, param_dtype),
            }
        self.has_norm = state_norm
        for name, value in extra.items():
            setattr(self, name, nnx.Param(value))

    @property
    def params(self) -> OscillatorParams:
        """The weights as the core takes them."""
        extra = {name: self._weight(name) for name in self._extra}
        params = self._load(OscillatorParams)
        return oscillator_init.whole(self.hparams, params, extra)

    @property
    def constants(self) -> dict[str, jax.Array | float]:
        """The dt, gamma and alpha that the equations take."""
        return oscillator.constants(self.hparams, self.params)

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
    def has_neighbours(self) -> bool:
        """Whether oscillators feel those beside them, and not all or none."""
        return self.hparams.topology != "dense" and self.hparams.kernel_size > 1

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

    def drive(self, inputs: jax.Array) -> jax.Array:
        """The inputs' part of the force: ``[..., *input_shape] -> [..., *field]``."""
        inputs = jnp.asarray(inputs, self.state_dtype)
        return oscillator.drive(self.hparams, self.params, inputs, self.implementation)

    def step(self, state: OscillatorState, drive: jax.Array) -> OscillatorState:
        """One time step, see `core.oscillator.step`; then perhaps the norm."""
        x, v = oscillator.step(
            self.hparams, self.params, state, drive, self.implementation
        )
        if self.has_norm:
            scale, bias = self._weight("norm_scale"), self._weight("norm_bias")
            x = standardise(x, len(self.hparams.field_shape)) * scale + bias
        return OscillatorState(x, v)

    def unroll(
        self,
        state: OscillatorState,
        inputs: jax.Array,
        *,
        remat: int = 0,
        implementation: str = "auto",
    ) -> tuple[OscillatorState, OscillatorState]:
        """All steps of a sequence of vectors, see `core.oscillator.run`.

        Raises:
          UserError: inputs of another length.
        """
        inputs = check_inputs(self, inputs)
        hparams, params = self.hparams, self.params

        def run(
            examples: tuple[OscillatorState, jax.Array],
        ) -> tuple[OscillatorState, OscillatorState]:
            options: dict[str, Any] = {"remat": remat, "implementation": implementation}
            return oscillator.run(hparams, params, *examples, **options)

        if implementation == "xla":
            return run((state, inputs))
        neighbours = math.prod(hparams.kernel_shape) * self.state_size
        return in_cache(run, (state, inputs), neighbours)

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

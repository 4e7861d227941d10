"""Blocks of linear waves and pointwise networks between them, for long sequences.

A block is linear in time and nonlinear at every cell and time. With u its input field:

    (x, v) = waves driven by normalise(u)                  `modules.linear_wave`
    h = gelu(R [x, v] + r)                                 1 x 1 across channels
    y = u + (A h + a) sigmoid(B h + b)                     gated, with a residual

The first block is driven by vectors, and has neither normalisation nor residual. The
shape of a block is that of LinOSS (arXiv:2410.03943, section 3), whose oscillators are
the case of a field without space.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import linear_wave
from nwm_jax.core.linear_wave import LinearWaveHParams, LinearWaveParams
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.transition import Transition
from nwm_jax.core.unroll import unroll_scan
from nwm_jax.errors import UserError
from nwm_jax.modules.layers import Linear
from nwm_jax.modules.linear_wave import LinearWave, LinearWaveCell

# Steps whose inside is computed again for the gradient, where there are several blocks:
# what lies between the blocks takes many times the memory of the states.
_CHUNK = 64


class StackState(NamedTuple):
    """What a stack carries from step to step.

    output: the output of the last block, ``[B, *field_shape]``.
    waves: x and v of every block.
    """

    output: jax.Array
    waves: tuple[OscillatorState, ...]


class LinearWaveBlock(nnx.Module):
    """One block, see the top of this file.

    Args:
      hparams: what the field of the block is; it has a residual where `forcing` is
        "pointwise", and then as many input channels as channels.
      method: as of `modules.linear_wave.LinearWave`.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.

    Raises:
      UserError: a pointwise forcing with other input channels than channels.
    """

    def __init__(
        self,
        hparams: LinearWaveHParams,
        *,
        method: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        channels = hparams.channels
        residual = hparams.forcing == "pointwise"
        if residual and hparams.input_channels != channels:
            raise UserError(
                "a block with a residual needs input_channels = channels, got "
                f"{hparams.input_channels} and {channels}"
            )
        types: dict[str, Any] = {
            "param_dtype": param_dtype,
            "dtype": dtype,
            "rngs": rngs,
        }
        self.norm = nnx.LayerNorm(channels, **types) if residual else None
        self.waves = LinearWave(hparams, method=method, **types)
        self.read = Linear(2 * channels, channels, **types)
        self.gate = Linear(channels, 2 * channels, **types)

    def __call__(
        self,
        state: OscillatorState,
        inputs: jax.Array,
        transitions: Transition | None = None,
    ) -> tuple[OscillatorState, OscillatorState, jax.Array]:
        """Computes all steps of a sequence.

        Args:
          state: x and v before the first step, ``[B, *field_shape]``.
          inputs: ``[B, T, F]`` or, of a field, ``[B, T, *field_shape]``.
          transitions: `LinearWave.transitions()`, where several calls share it.

        Returns:
          The last state, all states and all outputs, ``[B, T, *field_shape]``.
        """
        last, states = self.waves(
            self._normalise(inputs), state, transitions=transitions
        )
        return last, states, self._finish(states, inputs)

    def last(
        self,
        state: OscillatorState,
        inputs: jax.Array,
        transitions: Transition | None = None,
    ) -> tuple[OscillatorState, jax.Array]:
        """Computes the last state and the last output alone, see `__call__`."""
        last = self.waves.last(self._normalise(inputs), state, transitions=transitions)
        return last, self._finish(last, inputs[:, -1])

    def _normalise(self, inputs: jax.Array) -> jax.Array:
        return inputs if self.norm is None else self.norm(inputs)

    def _finish(self, states: OscillatorState, inputs: jax.Array) -> jax.Array:
        hidden = jax.nn.gelu(self.read(jnp.concatenate(states, axis=-1)))
        values, gates = jnp.split(self.gate(hidden), 2, axis=-1)
        outputs = values * jax.nn.sigmoid(gates)
        return outputs if self.norm is None else inputs + outputs


class LinearWaveStack(nnx.Module):
    """Several blocks, one after the other; a `modules.sequence_cells.SequenceCell`.

    Args:
      hparams: the field of the first block, which vectors drive (forcing "dense"); the
        others have its shape and scheme, and are driven by the block before them.
      blocks: how many, 1 or more.
      method: as of `modules.linear_wave.LinearWave`.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.

    Attributes:
      speed: None: waves have no single speed.
      keeps_states: False: gradients need no state of every step.

    Raises:
      UserError: fewer than 1 block, another forcing, or an unknown method.
    """

    speed = None
    keeps_states = False

    def __init__(
        self,
        hparams: LinearWaveHParams,
        blocks: int = 1,
        *,
        method: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        if blocks < 1:
            raise UserError(f"blocks must be 1 or more, got {blocks}")
        if hparams.forcing != "dense":
            raise UserError('a stack is driven by vectors: forcing must be "dense"')
        later = dataclasses.replace(
            hparams, forcing="pointwise", input_channels=hparams.channels
        )
        options: dict[str, Any] = {
            "method": method,
            "param_dtype": param_dtype,
            "dtype": dtype,
        }
        self.hparams = hparams
        self.blocks = nnx.List(
            LinearWaveBlock(each, **options, rngs=rngs)
            for each in (hparams, *[later] * (blocks - 1))
        )

    @property
    def has_neighbours(self) -> bool:
        """Whether oscillators feel those beside them."""
        return self.blocks[0].waves.cell.has_neighbours

    @property
    def linear_waves(self) -> LinearWaveCell | None:
        """The field of the last block, for figures; None: it has no space."""
        return self.blocks[-1].waves.cell if self.hparams.rank else None

    @property
    def num_outputs(self) -> int:
        """Length of the vector that a readout sees."""
        return math.prod(self.hparams.field_shape)

    def initialize_carry(self, input_shape: tuple[int, ...]) -> StackState:
        """Returns fields at rest for inputs ``[..., F]``."""
        waves = tuple(
            block.waves.cell.initialize_carry(
                (*input_shape[:-1], *block.waves.cell.input_shape)
            )
            for block in self.blocks
        )
        return StackState(jnp.zeros_like(waves[-1].x), waves)

    def unroll(
        self,
        state: StackState,
        inputs: jax.Array,
        *,
        remat: int = 0,
        implementation: str = "auto",
    ) -> tuple[StackState, StackState]:
        """Computes all steps of a sequence.

        The last state is computed without the others, which are computed only if they
        are used: `jax.jit` leaves out what nobody asks for.

        Args:
          state: the state before the first step.
          inputs: ``[B, T, F]``.
          remat: steps that are computed together, and again for the gradient; 0: all
            at once if there is a single block, else 64; -1: the root of T.
          implementation: "xla" computes one step after the other, see `core.wave.run`.

        Returns:
          The last state, and all states with ``[B, T]`` in front.

        Raises:
          UserError: inputs of another shape, or a `remat` below -1.
        """
        if implementation == "xla":
            remat = 1
        elif remat == 0 and len(self.blocks) > 1:
            remat = _CHUNK
        steps = self._transitions()
        every = functools.partial(self._every, steps)
        to_end = functools.partial(self._to_end, steps)
        _, states = unroll_scan(every, state, inputs, remat=remat)
        last, _ = unroll_scan(to_end, state, inputs, remat=remat)
        return last, states

    def _transitions(self) -> list[Transition]:
        """One step of every block, by one program: it takes XLA long to compile."""
        fields = [
            # Forcings have different shapes, and no part in this.
            LinearWaveParams(**(block.waves.cell.params._asdict() | {"forcing": None}))
            for block in self.blocks
        ]
        stacked = jax.tree.map(lambda *a: jnp.stack(a), *fields)
        steps = jax.vmap(functools.partial(linear_wave.transitions, self.hparams))(
            stacked
        )
        return [
            jax.tree.map(lambda a, n=n: a[n], steps) for n in range(len(self.blocks))
        ]

    def _every(
        self, steps: list[Transition], state: StackState, inputs: jax.Array
    ) -> tuple[StackState, StackState]:
        """The last state and all of them, with time in front."""
        fields = jnp.moveaxis(inputs, 1, 0)
        lasts, all_states = [], []
        for block, step, waves in zip(self.blocks, steps, state.waves, strict=True):
            last, states, fields = block(waves, fields, step)
            lasts.append(last)
            all_states.append(states)
        every = StackState(fields, tuple(all_states))
        every = jax.tree.map(lambda s: jnp.moveaxis(s, 0, 1), every)
        return StackState(fields[:, -1], tuple(lasts)), every

    def _to_end(
        self, steps: list[Transition], state: StackState, inputs: jax.Array
    ) -> tuple[StackState, None]:
        """The last state alone."""
        fields = jnp.moveaxis(inputs, 1, 0)
        *blocks, end = self.blocks
        lasts = []
        for block, step, waves in zip(
            blocks, steps[:-1], state.waves[:-1], strict=True
        ):
            last, _, fields = block(waves, fields, step)
            lasts.append(last)
        last, output = end.last(state.waves[-1], fields, steps[-1])
        return StackState(output, (*lasts, last)), None

    def field(self, state: StackState) -> jax.Array:
        """Returns the positions in the last block, ``[..., *field_shape]``."""
        return state.waves[-1].x

    def readable(self, state: StackState) -> jax.Array:
        """Returns the outputs of the last block as vectors, ``[..., num_outputs]``."""
        lead = state.output.ndim - len(self.hparams.field_shape)
        return state.output.reshape(*state.output.shape[:lead], self.num_outputs)

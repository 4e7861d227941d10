"""Cells for long sequences of vectors, as Flax NNX modules.

Each takes `[..., F]` and shows, beside the interface of `nnx.RNNCellBase`, what a model
of whole sequences wants: `unroll(state, inputs)` for all steps in one scan with the
input map inside, `field(state)` the state as it lies in space, and `readable(state)` as
the vector that a readout sees.
"""

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import oscillator, wave
from nwm_jax.core.oscillator import OscillatorHParams, OscillatorParams, OscillatorState
from nwm_jax.core.oscillator_hparams import check_stable
from nwm_jax.core.wave import WaveHParams, WaveParams
from nwm_jax.errors import UserError
from nwm_jax.modules.cells import CoreCell, OscillatorCell, draw_carry

KINDS = {"cornn": "dense", "nwm2d": "torus", "nwm1d": "ring", "uncoupled": "ring"}
_TWO_BIASES = ("nwm2d", "nwm1d")


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

    def unroll(self, state: Any, inputs: jax.Array, **options: Any) -> tuple[Any, Any]:
        """Returns the last state and all of them, of inputs ``[B, T, F]``.

        Options are `remat` and `implementation`, see `core.wave.run`.
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
        inputs = _check_inputs(self, inputs, self.hparams.inputs)
        drive = wave.drive(self.hparams, self.params, inputs)
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
        inputs = _check_inputs(self, inputs, self.hparams.inputs)
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


class SequenceOscillatorCell(OscillatorCell):
    """A field of oscillators with fixed constants, driven by vectors.

        v' = v + dt (tanh(V u + b + Wx * x + bx + Wv * v + bv) - gamma x - alpha v)
        x' = x + dt v'

    with the weights of PyTorch's layers at first, as in the programs of the coRNN
    (arXiv:2010.00951) and of Neural Wave Machines (Keller & Welling, ICML 2023, table
    2). bx and bv, one number a channel, are there for "nwm2d" and "nwm1d" only; they
    do the same as b, but what does the same three times learns at another rate.

    Args:
      kind: "cornn" (all to all), "nwm2d" (torus), "nwm1d" (rings) or "uncoupled", where
        Wx and Wv are one number each.
      size: (N,) for "cornn", (1, N) for "uncoupled", (H, W) or (rings, ring) else.
      inputs: F, length of an input vector.
      dt: step size.
      gamma: stiffness.
      alpha: damping (the coRNN papers' epsilon).
      channels: C, oscillators at every place of a torus or ring.
      kernel_size: odd width of the neighbourhood of "nwm2d" and "nwm1d".
      train_scalars: whether the two numbers of "uncoupled" are trained; else they
        stay 1, as they did in the reference program on GPUs.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.

    Raises:
      UserError: unknown kind, numbers that do not fit together, or constants with which
        oscillators grow by themselves, see `core.oscillator_hparams.check_stable`.
    """

    def __init__(
        self,
        kind: str,
        size: tuple[int, ...],
        inputs: int,
        *,
        dt: float,
        gamma: float,
        alpha: float,
        channels: int = 1,
        kernel_size: int = 3,
        train_scalars: bool = False,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        if kind not in KINDS:
            raise UserError(f"unknown kind of cell {kind!r}; one of {', '.join(KINDS)}")
        check_stable(dt, gamma, alpha)
        self.hparams = OscillatorHParams(
            KINDS[kind],
            size,
            channels=channels,
            input_channels=inputs,
            kernel_size=1 if kind == "uncoupled" else kernel_size,
            forcing="dense",
            dt=dt,
            gamma=gamma,
            alpha=alpha,
            learned=(),
        )
        self.kind = kind
        self.dtype = dtype
        self._store(_draw_params(kind, self.hparams, train_scalars, param_dtype, rngs))
        if kind in _TWO_BIASES:
            # One a channel; so many numbers meet in one sum of a convolution.
            fan_in = math.prod(self.hparams.kernel_shape) * channels
            for name in ("bias_x", "bias_v"):
                bias = wave.uniform(rngs.params(), (channels,), fan_in, param_dtype)
                setattr(self, name, nnx.Param(bias))

    @property
    def params(self) -> OscillatorParams:
        """The weights as the core takes them: with all biases in one."""
        params = self._load(OscillatorParams)
        if self.kind in _TWO_BIASES:
            more = [jnp.asarray(b[...], self.dtype) for b in (self.bias_x, self.bias_v)]
            return params._replace(bias=params.bias + more[0] + more[1])
        if params.coupling_x is None:
            one = jnp.ones((1, 1, 1), params.bias.dtype)
            return params._replace(coupling_x=one, coupling_v=one)
        return params

    @property
    def speed(self) -> float | None:
        """None: waves of oscillators have no speed of their own at first."""
        return None

    @property
    def has_neighbours(self) -> bool:
        """Whether oscillators feel those beside them, and not all or none."""
        return self.hparams.topology != "dense" and self.hparams.kernel_size > 1

    @property
    def num_outputs(self) -> int:
        """Length of the vector that a readout sees: the number of oscillators."""
        return math.prod(self.hparams.field_shape)

    def unroll(
        self,
        state: OscillatorState,
        inputs: jax.Array,
        *,
        remat: int = 0,
        implementation: str = "auto",
    ) -> tuple[OscillatorState, OscillatorState]:
        """All steps of a sequence, see `core.oscillator.run`.

        Raises:
          UserError: inputs of another length.
        """
        inputs = _check_inputs(self, inputs, self.hparams.input_channels)
        return oscillator.run(
            self.hparams,
            self.params,
            state,
            inputs,
            remat=remat,
            implementation=implementation,
        )

    def field(self, state: OscillatorState) -> jax.Array:
        """Positions as they lie in space: ``[..., H, W, C]`` or ``[..., N]``."""
        return state.x

    def readable(self, state: OscillatorState) -> jax.Array:
        """Positions as vectors, ``[..., N]``, the last axis of the field fastest."""
        lead = state.x.ndim - len(self.hparams.field_shape)
        return state.x.reshape(*state.x.shape[:lead], self.num_outputs)


def _draw_params(
    kind: str,
    hparams: OscillatorHParams,
    train_scalars: bool,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
) -> OscillatorParams:
    """Weights like those of PyTorch's layers; no couplings where they stay 1."""
    inputs, field = hparams.input_channels, hparams.field_shape
    kernel = (*hparams.kernel_shape, hparams.channels, hparams.channels)
    # How many numbers meet in one sum, of the inputs and of the couplings.
    fan_in, neighbours = inputs, math.prod(kernel[:-1])
    if kind == "cornn":
        # In the reference program one layer weighs (u, v, x).
        kernel = (*field, *field)
        fan_in = neighbours = inputs + 2 * field[0]

    def coupling() -> jax.Array | None:
        if kind == "uncoupled":
            return jnp.ones(kernel, dtype) if train_scalars else None
        return wave.uniform(rngs.params(), kernel, neighbours, dtype)

    return OscillatorParams(
        coupling_x=coupling(),
        coupling_v=coupling(),
        forcing=wave.uniform(rngs.params(), (inputs, math.prod(field)), fan_in, dtype),
        bias=wave.uniform(rngs.params(), field, fan_in, dtype),
        dt=None,
        gamma=None,
        alpha=None,
    )


def _check_inputs(cell: Any, inputs: jax.Array, length: int) -> jax.Array:
    """Inputs of the right length, in the type of the cell's arithmetic."""
    if inputs.shape[-1] != length:
        raise UserError(
            f"{type(cell).__name__} takes inputs [..., {length}], got {inputs.shape}"
        )
    return jnp.asarray(inputs, cell.state_dtype)

"""Recurrent cells as Flax NNX modules; they run unchanged in `nnx.RNN`.

Each is a thin class over the four functions of `core`. Beside the interface of
`nnx.RNNCellBase` a cell shows its parts, so that a model can take the drive out of the
loop: `drive(inputs)` for all times at once, `step(state, drive)` inside the scan.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core.oscillator_hparams import DEFAULT_DT, LEARNABLE, OscillatorHParams
from nwm_jax.modules.oscillator_cell import OscillatorCell


class RecurrentCell(Protocol):
    """What a model may ask of a recurrent cell.

    The state is a pytree of arrays ``[B, ...]``. `drive` needs no state, so that a model
    computes it for all times at once, outside of the scan over `step`. A cell may also
    have ``solve(state, drives) -> (last state, all states)``, of drives ``[B, T, ...]``,
    which then does so for all steps at once.

    Attributes:
      input_shape: shape of one input without batch and time.
      output_shape: shape of one output without batch and time.
      state_size: numbers in one state.

    A cell may also have a `pairing`, see `models.Latents`.
    """

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Returns the shape of one input without batch and time."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Returns the shape of one output without batch and time."""

    @property
    def state_size(self) -> int:
        """Returns how many numbers one state has."""

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


class _PeriodicCell(OscillatorCell):
    """What the cells of both Neural Wave Machines share: their arguments."""

    _topology: str

    def __init__(
        self,
        grid: tuple[int, int],
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
        rngs: nnx.Rngs,
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
        super().__init__(hparams, param_dtype=param_dtype, dtype=dtype, rngs=rngs)


class NWM2DCell(_PeriodicCell):
    """The Neural Wave Machine on a torus: every cell feels its neighbours.

        v' = v + dt (act(Wx * x + Wv * v + V * u + b) - gamma x - alpha v)
        x' = x + dt v'

    `cell(carry, inputs) -> (carry, x)` with inputs u ``[..., H, W, input_channels]``
    and x ``[..., H, W, channels]`` (Keller & Welling, ICML 2023, eqs. 4-6).

    Args:
      grid: (H, W) of the sheet.
      channels: oscillators at every cell, coupled with each other too.
      input_channels: numbers of the input at every cell; length of the input vector
        where `forcing` is "dense".
      kernel_size: odd width of the neighbourhood, at most H and W.
      kernel_fill: mean of the initial kernels, finite.
      forcing: how inputs enter: "coupling" (through a kernel like the couplings),
        "identity" (as they are) or "dense" (a full matrix from a vector).
      activation: act: "tanh", "relu" or "identity".
      dt: first step size; in (0, 1) if it is learned.
      gamma: first stiffness, >= 0 if it is learned.
      alpha: first damping, >= 0 if it is learned.
      learned: which of "dt", "gamma", "alpha" are trained; the others are fixed.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.

    Example:
      >>> cell = NWM2DCell((8, 8), channels=2, rngs=nnx.Rngs(0))
      >>> states = nnx.RNN(cell)(jnp.ones((1, 5, 8, 8, 1)))  # batch, time, field
      >>> states.shape
      (1, 5, 8, 8, 2)
    """

    _topology = "torus"


class NWM1DCell(_PeriodicCell):
    """The Neural Wave Machine on rings: every cell feels its neighbours on its ring.

    Equations, inputs and arguments as of `NWM2DCell`; there is no coupling between
    rings.

    Args:
      grid: (number of rings, cells of a ring).
      channels: oscillators at every cell, coupled with each other too.
      input_channels: numbers of the input at every cell; length of the input vector
        where `forcing` is "dense".
      kernel_size: odd width of the neighbourhood, at most the cells of a ring.
      kernel_fill: mean of the initial kernels, finite.
      forcing: "coupling", "identity" or "dense", see `NWM2DCell`.
      activation: "tanh", "relu" or "identity".
      dt: first step size; in (0, 1) if it is learned.
      gamma: first stiffness, >= 0 if it is learned.
      alpha: first damping, >= 0 if it is learned.
      learned: which of "dt", "gamma", "alpha" are trained; the others are fixed.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    _topology = "ring"


class CoRNNCell(OscillatorCell):
    """The coupled oscillatory RNN: every unit feels every other (arXiv:2010.00951).

    Equations as of `NWM2DCell`, with full matrices; inputs ``[..., units *
    input_channels]``, or ``[..., input_channels]`` where `forcing` is "dense"; x
    ``[..., units]``.

    Args:
      units: N.
      input_channels: numbers of the input for every unit; length of the input vector
        where `forcing` is "dense".
      forcing: how inputs enter: "coupling" or "dense" (through a full matrix), or
        "identity" (as they are).
      activation: "tanh", "relu" or "identity".
      dt: first step size; in (0, 1) if it is learned.
      gamma: first stiffness, >= 0 if it is learned.
      alpha: first damping (the paper's epsilon), >= 0 if it is learned.
      learned: which of "dt", "gamma", "alpha" are trained; the others are fixed.
      param_dtype: type of the weights, the raw dt, gamma and alpha included.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    def __init__(
        self,
        units: int,
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
        rngs: nnx.Rngs,
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
        super().__init__(hparams, param_dtype=param_dtype, dtype=dtype, rngs=rngs)

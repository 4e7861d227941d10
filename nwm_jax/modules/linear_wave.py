"""Fields of linear oscillators as Flax NNX modules: a cell, and whole sequences."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import linear_scan, linear_wave
from nwm_jax.core.linear_wave import LinearWaveHParams, LinearWaveParams
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.transition import Transition
from nwm_jax.errors import UserError
from nwm_jax.modules.core_cell import check_inputs
from nwm_jax.modules.field_cell import FieldCell


class LinearWaveCell(FieldCell):
    """A field of linear oscillators whose waves are learned (`core.linear_wave`).

        x'' = -(gamma + kappa(k)) x - (alpha + nu(k) + i beta(k)) x' + f

    `cell(carry, inputs) -> (carry, x)`; the carry is `OscillatorState(x, v)` with the
    batch axes of the inputs. It runs in `nnx.RNN` step by step; `LinearWave` computes
    whole sequences at once. `solve` does so for drives that are known.

    Args:
      hparams: what the field is.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Example:
      >>> field = LinearWaveHParams("torus", (8, 8), channels=2, forcing="pointwise")
      >>> cell = LinearWaveCell(field, rngs=nnx.Rngs(0))
      >>> nnx.RNN(cell)(jnp.ones((1, 5, 8, 8, 1))).shape  # batch, time, field
      (1, 5, 8, 8, 2)
    """

    hparams: LinearWaveHParams

    def __init__(
        self,
        hparams: LinearWaveHParams,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.hparams = hparams
        self.dtype = dtype
        self._store(linear_wave.init_params(rngs.params(), hparams, param_dtype))

    @property
    def params(self) -> LinearWaveParams:
        """The weights as the core takes them."""
        return self._load(LinearWaveParams)

    @property
    def constants(self) -> dict[str, jax.Array | float]:
        """The dt, gamma and alpha of every channel, ``[C]``."""
        return dict(linear_wave.constants(self.params))

    @property
    def has_neighbours(self) -> bool:
        """Whether oscillators feel those beside them."""
        return len(self.hparams.offsets) > 0

    @property
    def linear_waves(self) -> "LinearWaveCell":
        """The field whose dispersion relation a figure shows: itself."""
        return self

    def drive(self, inputs: jax.Array) -> jax.Array:
        """Returns the force of the inputs: ``[..., *input_shape] -> [..., *field]``."""
        inputs = jnp.asarray(inputs, self.state_dtype)
        return linear_wave.drive(self.hparams, self.params, inputs)

    def step(self, state: OscillatorState, drive: jax.Array) -> OscillatorState:
        """Returns the state after one time step, see `core.linear_wave.step`."""
        return linear_wave.step(self.hparams, self.params, state, drive)

    def solve(
        self, state: OscillatorState, drives: jax.Array
    ) -> tuple[OscillatorState, OscillatorState]:
        """Returns the last state and all of them, of drives ``[B, T, *field]``."""
        return linear_scan.scan_drives(self.hparams, self.params, state, drives)

    def unroll(
        self,
        state: OscillatorState,
        inputs: jax.Array,
        *,
        remat: int = 0,
        implementation: str = "auto",
    ) -> tuple[OscillatorState, OscillatorState]:
        """Returns the last state and all of them, of inputs ``[B, T, *input_shape]``.

        Args:
          state: the state before the first step.
          inputs: one per step.
          remat: not used: chunks are always computed again for the gradient.
          implementation: "xla" computes one step after the other, see `core.wave.run`.

        Raises:
          UserError: inputs of another shape.
        """
        del remat
        method = "sequential" if implementation == "xla" else "auto"
        inputs = check_inputs(self, inputs)
        return linear_scan.scan(self.hparams, self.params, state, inputs, method=method)


class LinearWave(nnx.Module):
    """Whole sequences of a field of linear oscillators (`core.linear_scan`).

    Args:
      hparams: what the field is.
      method: how states are computed, one of `core.linear_scan.METHODS`.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Attributes:
      cell: the `LinearWaveCell` that has the weights.

    Raises:
      UserError: an unknown method.

    Example:
      >>> field = LinearWaveHParams("ring", (1, 16), channels=4, input_channels=3)
      >>> waves = LinearWave(field, rngs=nnx.Rngs(0))
      >>> last, states = waves(jnp.ones((2, 100, 3)))
      >>> last.x.shape, states.v.shape
      ((2, 1, 16, 4), (2, 100, 1, 16, 4))
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
        linear_scan.check(method)
        self.method = method
        self.cell = LinearWaveCell(
            hparams, param_dtype=param_dtype, dtype=dtype, rngs=rngs
        )

    def __call__(
        self,
        inputs: jax.Array,
        state: OscillatorState | None = None,
        *,
        transitions: Transition | None = None,
    ) -> tuple[OscillatorState, OscillatorState]:
        """Computes the states after every step.

        Args:
          inputs: ``[B, T, F]`` (dense) or ``[B, T, *size, C_in]`` (pointwise).
          state: x and v before the first step, ``[B, *field_shape]``; None: at rest.
          transitions: what `transitions` returns, where several calls share it.

        Returns:
          The last state, and all states ``[B, T, *field_shape]``.

        Raises:
          UserError: inputs of another shape.
        """
        inputs, state = self._prepare(inputs, state)
        cell = self.cell
        return linear_scan.scan(
            cell.hparams,
            cell.params,
            state,
            inputs,
            method=self.method,
            transitions=transitions,
        )

    def last(
        self,
        inputs: jax.Array,
        state: OscillatorState | None = None,
        *,
        chunk: int = 1024,
        transitions: Transition | None = None,
    ) -> OscillatorState:
        """Computes the state after the last step alone, which costs much less.

        Args:
          inputs: as of a call.
          state: as of a call.
          chunk: times that are one product, see `core.linear_scan.last_state`.
          transitions: as of a call.

        Raises:
          UserError: inputs of another shape.
        """
        inputs, state = self._prepare(inputs, state)
        cell = self.cell
        return linear_scan.last_state(
            cell.hparams,
            cell.params,
            state,
            inputs,
            chunk=chunk,
            transitions=transitions,
        )

    def transitions(self) -> Transition:
        """Computes one step of every mode, see `core.linear_wave.transitions`."""
        return linear_wave.transitions(self.cell.hparams, self.cell.params)

    def _prepare(
        self, inputs: jax.Array, state: OscillatorState | None
    ) -> tuple[jax.Array, OscillatorState]:
        shape = self.cell.input_shape
        if inputs.ndim != 2 + len(shape) or inputs.shape[2:] != shape:
            raise UserError(
                f"{type(self).__name__} takes inputs [batch, time, "
                f"{', '.join(map(str, shape))}], got {inputs.shape}"
            )
        if state is None:
            state = self.cell.initialize_carry((len(inputs), *shape))
        return jnp.asarray(inputs, self.cell.state_dtype), state


class LinOSS(LinearWave):
    """The damped LinOSS: linear oscillators without any coupling.

        v' = (v + dt (B u - gamma x)) / (1 + dt alpha),  x' = x + dt v'

    (arXiv:2410.03943, with the damping of arXiv:2505.12171), one dt, gamma and alpha
    for every oscillator. States are ``[B, T, units]``.

    Args:
      units: oscillators.
      inputs: F, length of an input vector ``[B, T, F]``.
      scheme: "imex" as above, "implicit" (LinOSS-IM) or "exact".
      method: as of `LinearWave`.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights from the stream `params`.

    Raises:
      UserError: unknown scheme or method, or sizes below 1.
    """

    def __init__(
        self,
        units: int,
        inputs: int,
        *,
        scheme: str = "imex",
        method: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        hparams = LinearWaveHParams(
            "point", (), units, inputs, scheme=scheme, gyroscopic=False
        )
        types: dict[str, Any] = {"param_dtype": param_dtype, "dtype": dtype}
        super().__init__(hparams, method=method, **types, rngs=rngs)

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
from nwm_jax.modules.core_cell import check_inputs
from nwm_jax.modules.devices import in_cache
from nwm_jax.modules.field_cell import FieldCell


class OscillatorCell(FieldCell):
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
    """

    hparams: OscillatorHParams

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
    def has_neighbours(self) -> bool:
        """Whether oscillators feel those beside them, and not all or none."""
        return self.hparams.topology != "dense" and self.hparams.kernel_size > 1

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

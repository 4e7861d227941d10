"""The field of oscillators in which topographic maps and travelling waves are learned."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import coupling, oscillator
from nwm_jax.core.elbo import standardise
from nwm_jax.core.oscillator import (
    OscillatorHParams,
    OscillatorParams,
    OscillatorState,
)
from nwm_jax.core.oscillator_hparams import DEFAULT_DT
from nwm_jax.errors import UserError, unknown
from nwm_jax.modules.cells import OscillatorCell

KINDS = {"nwm2d": "torus", "nwm1d": "ring"}


class TopographicCell(OscillatorCell):
    """One channel of oscillators whose input is a field of their own shape.

        v' = v + dt (tanh(Wx * x + Wv * v + V * z + b) - gamma x - alpha v)
        x' = x + dt v'                    (with `state_norm`: LayerNorm(x + dt v'))

    "nwm2d": a torus; the three kernels are k x k, all taps 1/(H W) or `kernel_fill` at
    first, and b is a number per oscillator. "nwm1d": rings on which every oscillator hears its next
    neighbour alone, never itself: the kernels are (0, 0, m) with one number m each, 1 at
    first, and b is one profile along the ring, the same on all rings. So activity
    travels towards lower indices. The norm is over all positions of a state together,
    with a weight and a bias per oscillator; velocities are left as they are.

    Args:
      kind: "nwm2d" or "nwm1d".
      grid: (H, W), or (number of rings, oscillators of a ring).
      kernel_size: k, odd; of "nwm2d" only.
      state_norm: whether positions are normalised after every step.
      dt: first step size, in (0, 1).
      kernel_fill: first taps of "nwm2d"; 0: 1/(H W).
      conv: implementation of the couplings, see `core.coupling.couple`.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.

    Raises:
      UserError: an unknown kind, or sizes that do not fit together.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), section 3
    and appendix A.2.
    """

    def __init__(
        self,
        kind: str,
        grid: tuple[int, int],
        *,
        kernel_size: int = 3,
        state_norm: bool = False,
        dt: float = DEFAULT_DT,
        kernel_fill: float = 0.0,
        conv: str = "auto",
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
    ) -> None:
        if kind not in KINDS:
            raise unknown("kind of cell", kind, KINDS)
        if kind == "nwm1d" and kernel_size != 3:
            raise UserError(
                f"kernel_size={kernel_size}: oscillators on rings hear one neighbour, "
                "which is a kernel of 3"
            )
        self.kind = kind
        self.conv = conv
        self.hparams = OscillatorHParams(
            KINDS[kind],
            grid,
            kernel_size=kernel_size,
            kernel_fill=kernel_fill,
            dt=dt,
        )
        self.dtype = dtype
        shape = self.hparams.field_shape
        kernel, fill = (), 1.0
        if kind == "nwm2d":
            kernel = (*self.hparams.kernel_shape, 1, 1)
            fill = kernel_fill or 1.0 / (grid[0] * grid[1])
        kernels = {
            name: jnp.full(kernel, fill, param_dtype)
            for name in ("coupling_x", "coupling_v", "forcing")
        }
        raw = {"gamma": self.hparams.gamma, "alpha": self.hparams.alpha}
        raw["dt"] = math.log(dt / (1.0 - dt))
        bias = jnp.zeros(shape if kind == "nwm2d" else shape[1:], param_dtype)
        scalars = {name: jnp.asarray(value, param_dtype) for name, value in raw.items()}
        self._store(OscillatorParams(bias=bias, **kernels, **scalars))
        norm = {"norm_scale": jnp.ones, "norm_bias": jnp.zeros}
        for name, fill in norm.items():
            weight = nnx.Param(fill(shape, param_dtype)) if state_norm else None
            setattr(self, name, weight)

    @property
    def params(self) -> OscillatorParams:
        """The weights as the core takes them."""
        params = self._load(OscillatorParams)
        if self.kind == "nwm2d":
            return params
        next_one = jnp.array([0.0, 0.0, 1.0], params.bias.dtype).reshape(3, 1, 1)
        return params._replace(
            coupling_x=params.coupling_x * next_one,
            coupling_v=params.coupling_v * next_one,
            forcing=params.forcing * next_one,
        )

    def drive(self, inputs: jax.Array) -> jax.Array:
        """The inputs' part of the force, ``[..., H, W, 1]`` both."""
        params, topology = self.params, self.hparams.topology
        inputs = jnp.asarray(inputs, self.state_dtype)
        forced = coupling.couple(topology, inputs, params.forcing, self.conv)
        return forced + params.bias

    def step(self, state: OscillatorState, drive: jax.Array) -> OscillatorState:
        """One time step (the equations of the class).

        Args:
          state: x and v, ``[B, H, W, 1]``.
          drive: what `drive` returned for this time, ``[B, H, W, 1]``.

        Returns:
          The next state.
        """
        x, v = oscillator.step(self.hparams, self.params, state, drive, self.conv)
        if self.norm_scale is not None:
            scale, bias = (
                jnp.asarray(weight[...], x.dtype)
                for weight in (self.norm_scale, self.norm_bias)
            )
            x = standardise(x, 3) * scale + bias
        return OscillatorState(x, v)

"""Fields of coupled oscillators: coRNN and the Neural Wave Machines.

Every cell is a damped, driven oscillator with position x and velocity v:

    v_{t+1} = v_t + dt (tanh(Wx * x_t + Wv * v_t + drive_t) - gamma x_t - alpha v_t)
    x_{t+1} = x_t + dt v_{t+1}

(the new velocity moves the position: symplectic Euler). ``*`` is the coupling of
`core.coupling`: dense gives the coRNN (arXiv:2010.00951, eq. 3), ring the NWM 1D and
torus the NWM 2D (Keller & Welling, Neural Wave Machines, ICML 2023, eqs. 4-6).

Words: the coRNN papers write y, z, gamma, epsilon where we write x, v, gamma, alpha.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nwm_jax.core import coupling, init, scans
from nwm_jax.core.equations import ACTIVATIONS, aligned, oscillate
from nwm_jax.core.oscillator_hparams import OscillatorHParams


class OscillatorParams(NamedTuple):
    """Weights of a field of oscillators.

    coupling_x, coupling_v: Wx, Wv: ``[N, N]``, ``[k, C, C]`` or ``[k, k, C, C]``.
    forcing: V, from the input: as the couplings with C_in (dense: ``[F, N C]``), or None.
    bias: b, one number per oscillator: ``[N]`` or ``[H, W, C]``.
    dt, gamma, alpha: raw scalars where learned; None to use the fixed number of the
      hyper-parameters; any array that broadcasts to the state where not learned.
    """

    coupling_x: jax.Array
    coupling_v: jax.Array
    forcing: jax.Array | None
    bias: jax.Array
    dt: jax.Array | None
    gamma: jax.Array | None
    alpha: jax.Array | None


class OscillatorState(NamedTuple):
    """Position x and velocity v, each ``[B, N]`` or ``[B, H, W, C]``."""

    x: jax.Array
    v: jax.Array


def init_params(
    key: jax.Array, hparams: OscillatorHParams, dtype: DTypeLike = jnp.float32
) -> OscillatorParams:
    """Draws the weights as the reference program does.

    Ring and torus kernels: `kernel_fill` plus a normal of standard deviation 0.1 cut
    at two; dense matrices: a normal of 1/sqrt(fan in) cut at two; the bias is zero.

    Args:
      key: a JAX random key.
      hparams: the description of the field.
      dtype: of the weights, the raw dt, gamma and alpha included.

    Returns:
      `OscillatorParams`.
    """
    key_x, key_v, key_forcing = jax.random.split(key, 3)
    cells = math.prod(hparams.field_shape)

    def couplings(key: jax.Array, inputs: int) -> jax.Array:
        if hparams.topology == "dense":
            return init.linear(key, (inputs, hparams.size[0]), dtype)
        shape = (*hparams.kernel_shape, inputs, hparams.channels)
        return hparams.kernel_fill + init.truncated_normal(key, shape, 0.1, dtype)

    field_inputs = hparams.field_shape[-1]
    forcing = None
    if hparams.forcing == "dense":
        forcing = init.linear(key_forcing, (hparams.input_channels, cells), dtype)
    elif hparams.forcing == "coupling":
        # A dense field gets C_in numbers for each of its N cells.
        copies = field_inputs if hparams.topology == "dense" else 1
        forcing = couplings(key_forcing, hparams.input_channels * copies)
    return OscillatorParams(
        coupling_x=couplings(key_x, field_inputs),
        coupling_v=couplings(key_v, field_inputs),
        forcing=forcing,
        bias=jnp.zeros(hparams.field_shape, dtype),
        **first_constants(hparams, dtype),
    )


def first_constants(
    hparams: OscillatorHParams, dtype: DTypeLike = jnp.float32
) -> dict[str, jax.Array | None]:
    """Returns the raw dt, gamma and alpha of a new field, None where not learned."""
    raw = {"dt": hparams.dt, "gamma": hparams.gamma, "alpha": hparams.alpha}
    if "dt" in hparams.learned:
        raw["dt"] = math.log(hparams.dt / (1.0 - hparams.dt))
    return {
        name: jnp.asarray(value, dtype) if name in hparams.learned else None
        for name, value in raw.items()
    }


def initial_state(
    hparams: OscillatorHParams, batch: int, dtype: DTypeLike = jnp.float32
) -> OscillatorState:
    """A field at rest: zeros of `dtype`, ``[batch, *field_shape]`` twice."""
    zeros = jnp.zeros((batch, *hparams.field_shape), dtype)
    return OscillatorState(zeros, zeros)


def constants(
    hparams: OscillatorHParams, params: OscillatorParams
) -> dict[str, jax.Array | float]:
    """The values of dt, gamma and alpha that `step` uses.

    Returns:
      {"dt", "gamma", "alpha"}: sigmoid or relu of the raw number where it is learned,
      else the array of `params`, else the number of `hparams`.
    """
    constraints = {"dt": jax.nn.sigmoid, "gamma": jax.nn.relu, "alpha": jax.nn.relu}
    values: dict[str, jax.Array | float] = {}
    for name, constraint in constraints.items():
        given = getattr(params, name)
        if name in hparams.learned:
            values[name] = constraint(given)
        else:
            values[name] = getattr(hparams, name) if given is None else given
    return values


def drive(
    hparams: OscillatorHParams,
    params: OscillatorParams,
    inputs: jax.Array,
    implementation: str = "auto",
) -> jax.Array:
    """What the inputs put into the tanh: ``V * u + b``, for any number of times at once.

    Args:
      hparams: the description of the field.
      params: its weights.
      inputs: ``[..., H, W, C_in]`` (ring, torus), ``[..., N C_in]`` (dense topology),
        ``[..., F]`` (dense forcing); any leading axes, such as batch and time.
      implementation: of a forcing by a kernel, see `coupling.couple`.

    Returns:
      A field ``[..., *field_shape]``.
    """
    if hparams.forcing == "identity":
        return inputs + aligned(params.bias, inputs)
    assert params.forcing is not None
    if hparams.forcing == "dense":
        forced = (inputs @ params.forcing).reshape(
            *inputs.shape[:-1], *hparams.field_shape
        )
    else:
        forced = coupling.couple(
            hparams.topology, inputs, params.forcing, implementation
        )
    return forced + aligned(params.bias, forced)


def step(
    hparams: OscillatorHParams,
    params: OscillatorParams,
    state: OscillatorState,
    drive: jax.Array,
    implementation: str = "auto",
) -> OscillatorState:
    """One time step of the field (the equations at the top of this file).

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v, ``[B, *field_shape]``.
      drive: what `drive` returned for this time, ``[B, *field_shape]``.
      implementation: of the couplings, see `coupling.couple`.

    Returns:
      The next state.
    """
    x, v = state
    value = {
        name: aligned(number, x) if isinstance(number, jax.Array) else number
        for name, number in constants(hparams, params).items()
    }
    topology = hparams.topology
    force = (
        coupling.couple(topology, x, params.coupling_x, implementation)
        + coupling.couple(topology, v, params.coupling_v, implementation)
        + drive
    )
    moved = oscillate(x, v, ACTIVATIONS[hparams.activation](force), **value)
    return OscillatorState(*moved)


def run(
    hparams: OscillatorHParams,
    params: OscillatorParams,
    state: OscillatorState,
    inputs: jax.Array,
    *,
    remat: int = 0,
    implementation: str = "auto",
) -> tuple[OscillatorState, OscillatorState]:
    """All steps of a sequence of vectors (`forcing` is "dense").

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v before the first step, ``[B, *field_shape]``.
      inputs: ``[B, T, F]``.
      remat: as in `core.unroll.unroll`.
      implementation: "auto", or "xla" for the plain formulation to compare with: all
        drives before the loop, XLA's convolution, automatic gradients. They agree to
        rounding; where no constant is learned "auto" has no forward-mode derivatives
        of rings and tori.

    Returns:
      The last state, and the states after every step, ``[B, T, *field_shape]``.

    Raises:
      UserError: unknown implementation, or a negative `remat`.
    """
    value = constants(hparams, params)
    scan = None
    fixed = {name: n for name, n in value.items() if isinstance(n, int | float)}
    if hparams.topology != "dense" and len(fixed) == len(value):
        assert params.forcing is not None  # it is "dense"
        weights = scans.Weights(
            params.forcing.reshape(-1, *hparams.field_shape),
            params.bias,
            jnp.concatenate([params.coupling_x, params.coupling_v], axis=-2),
        )
        numbers = scans.Constants(hparams.activation, **fixed)

        def scan(
            state: OscillatorState, inputs: jax.Array
        ) -> tuple[OscillatorState, OscillatorState]:
            last, states = scans.scan_oscillators(
                numbers, weights, tuple(state), inputs
            )
            return OscillatorState(*last), OscillatorState(*states)

    return scans.run(
        functools.partial(drive, hparams, params),
        functools.partial(step, hparams, params),
        scan,
        state,
        inputs,
        remat=remat,
        implementation=implementation,
    )

"""Fields of coupled oscillators: coRNN and the Neural Wave Machines.

Every cell is a damped, driven oscillator with position x and velocity v:

    v_{t+1} = v_t + dt (tanh(Wx * x_t + Wv * v_t + drive_t) - gamma x_t - alpha v_t)
    x_{t+1} = x_t + dt v_{t+1}

(the new velocity moves the position: symplectic Euler). ``*`` is the coupling of
`core.coupling`: dense gives the coRNN (arXiv:2010.00951, eq. 3), ring the NWM 1D and
torus the NWM 2D (Keller & Welling, Neural Wave Machines, ICML 2023, eqs. 4-6).

Words: the coRNN papers write y, z, gamma, epsilon where we write x, v, gamma, alpha.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nwm_jax.core import coupling, init, scans
from nwm_jax.core.unroll import unroll, unroll_scan
from nwm_jax.errors import UserError

# sigmoid(-1.95), the reference program's first step size; the paper rounds it to 0.125.
DEFAULT_DT = 1.0 / (1.0 + math.exp(1.95))
FORCINGS = ("coupling", "identity", "dense")
LEARNABLE = ("dt", "gamma", "alpha")
# Of constants and first weights: beyond it float32 does not hold their products.
_LARGEST = 1e6

# Numbers of all neighbourhoods that are multiplied at once: of a torus of 16x16 cells
# with 16 channels, 120 examples in parts of 12 take a quarter of the time of all at once.
_CACHE_NUMBERS = 900_000


@dataclasses.dataclass(frozen=True)
class OscillatorHParams:
    """What a field of oscillators is, apart from its weights.

    Attributes:
      topology: "dense" (coRNN), "ring" (NWM 1D) or "torus" (NWM 2D).
      size: cells: ``(N,)`` for dense, ``(rings, ring)`` or ``(H, W)``.
      channels: C, oscillators at every cell of a ring or torus.
      input_channels: channels of an input field, or F for a "dense" forcing.
      kernel_size: odd width of the neighbourhood on rings and tori.
      kernel_fill: mean of the initial ring and torus kernels; 1/9 for both, as in the
        reference program, which puts 1D and 2D into different regimes.
      forcing: how inputs enter: through a kernel like the couplings ("coupling"), as
        they are ("identity"), or through a full matrix from a vector ("dense").
      activation: "tanh", "relu" or "identity", applied to the total force.
      dt: first step size, in (0, 1) if it is learned.
      gamma: first stiffness, the square of the natural frequency, >= 0 if learned.
      alpha: first damping, >= 0 if learned.
      learned: which of dt, gamma, alpha are trained: as sigmoid(raw), relu(raw),
        relu(raw), as the reference program does; so a gamma or alpha that is 0 or
        falls below stays 0 for good. The others are fixed numbers.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    topology: str
    size: tuple[int, ...]
    channels: int = 1
    input_channels: int = 1
    kernel_size: int = 3
    kernel_fill: float = 1.0 / 9.0
    forcing: str = "coupling"
    activation: str = "tanh"
    dt: float = DEFAULT_DT
    gamma: float = 1.0
    alpha: float = 0.5
    learned: tuple[str, ...] = ("dt", "gamma", "alpha")

    def __post_init__(self) -> None:
        # Lists, as a config holds them, would make the description unhashable; NumPy's
        # numbers would make states float64 where JAX's x64 is on.
        object.__setattr__(self, "size", _read_size(self.topology, self.size))
        object.__setattr__(self, "learned", tuple(self.learned))
        for name in ("kernel_fill", "dt", "gamma", "alpha"):
            value = float(getattr(self, name))
            if not abs(value) <= _LARGEST:
                raise UserError(
                    f"{name} must be a number of at most {_LARGEST:g} in size, got {value}"
                )
            object.__setattr__(self, name, value)
        _check(self)

    @property
    def field_shape(self) -> tuple[int, ...]:
        """Shape of x (and of v) without the batch: (N,) or (H, W, C)."""
        return self.size if self.topology == "dense" else (*self.size, self.channels)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Spatial shape of a coupling kernel: () for dense, (k,) or (k, k)."""
        rank = {"dense": 0, "ring": 1, "torus": 2}[self.topology]
        return (self.kernel_size,) * rank


def check_stable(dt: float, gamma: float, alpha: float) -> None:
    """Checks constants that are not learned.

    Without couplings the step is a linear map of (x, v) with determinant 1 - dt alpha
    and trace 2 - dt alpha - dt^2 gamma. It does not grow if

        dt > 0,  gamma >= 0,  alpha >= 0,  dt^2 gamma + 2 dt alpha < 4

    Raises:
      UserError: oscillators of these constants grow by themselves.
    """
    growth = dt * dt * gamma + 2.0 * dt * alpha
    if not (dt > 0.0 and gamma >= 0.0 and alpha >= 0.0 and growth < 4.0):
        raise UserError(
            f"dt={dt:g}, gamma={gamma:g}, alpha={alpha:g}: oscillators grow by "
            "themselves unless dt > 0, gamma >= 0, alpha >= 0 and "
            "dt^2 gamma + 2 dt alpha < 4; take a smaller dt"
        )


def _read_size(topology: str, size: Sequence[int]) -> tuple[int, ...]:
    """The sizes of a field as a tuple of integers."""
    wanted = {
        "dense": "one integer, (units,)",
        "ring": "two integers, (number of rings, cells of a ring)",
        "torus": "two integers, (height, width)",
    }
    if topology not in wanted:
        raise UserError(
            f"unknown topology {topology!r}; one of {', '.join(coupling.TOPOLOGIES)}"
        )
    try:
        read = tuple(operator.index(number) for number in size)
    except TypeError:
        read = ()
    if len(read) != (1 if topology == "dense" else 2):
        raise UserError(
            f"the grid of a {topology} field is {wanted[topology]}, not {size!r}"
        )
    return read


def _check(hparams: OscillatorHParams) -> None:
    """Raises UserError if a description of a field contradicts itself."""
    h = hparams
    for word, value, known in [
        ("forcing", h.forcing, FORCINGS),
        ("activation", h.activation, tuple(scans.ACTIVATIONS)),
        *(("learned constant", name, LEARNABLE) for name in h.learned),
    ]:
        if value not in known:
            raise UserError(f"unknown {word} {value!r}; one of {', '.join(known)}")
    if min(*h.size, h.channels, h.input_channels) < 1:
        raise UserError(
            "sizes and channels must be 1 or more, got "
            f"size={h.size}, channels={h.channels}, input_channels={h.input_channels}"
        )
    if h.topology == "dense" and h.channels != 1:
        raise UserError("a dense field has no channels: put them into its size")
    periodic = {"dense": (), "ring": h.size[-1:], "torus": h.size}[h.topology]
    if periodic and (h.kernel_size % 2 == 0 or not 1 <= h.kernel_size <= min(periodic)):
        raise UserError(
            f"kernel_size must be odd and at most {min(periodic)}, the size of the "
            f"field, got {h.kernel_size}"
        )
    if h.forcing == "identity" and h.input_channels not in (1, h.channels):
        raise UserError(
            "forcing 'identity' needs one input channel, felt by all, or as many as "
            f"channels ({h.channels}), got {h.input_channels}"
        )
    if "dt" in h.learned and not 0.0 < h.dt < 1.0:
        raise UserError(f"a learned dt starts inside (0, 1), got {h.dt}")
    for name in ("gamma", "alpha"):
        if name in h.learned and getattr(h, name) < 0.0:
            raise UserError(
                f"a learned {name} starts at 0 or more, got {getattr(h, name)}"
            )


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
    raw = {
        "dt": math.log(hparams.dt / (1.0 - hparams.dt))
        if "dt" in hparams.learned
        else None,
        "gamma": hparams.gamma,
        "alpha": hparams.alpha,
    }
    return OscillatorParams(
        coupling_x=couplings(key_x, field_inputs),
        coupling_v=couplings(key_v, field_inputs),
        forcing=forcing,
        bias=jnp.zeros(hparams.field_shape, dtype),
        **{
            name: jnp.asarray(value, dtype) if name in hparams.learned else None
            for name, value in raw.items()
        },
    )


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
    values = {}
    for name, constraint in constraints.items():
        given = getattr(params, name)
        if name in hparams.learned:
            values[name] = constraint(given)
        else:
            values[name] = getattr(hparams, name) if given is None else given
    return values


def drive(
    hparams: OscillatorHParams, params: OscillatorParams, inputs: jax.Array
) -> jax.Array:
    """What the inputs put into the tanh: ``V * u + b``, for any number of times at once.

    Args:
      hparams: the description of the field.
      params: its weights.
      inputs: ``[..., H, W, C_in]`` (ring, torus), ``[..., N C_in]`` (dense topology),
        ``[..., F]`` (dense forcing); any leading axes, such as batch and time.

    Returns:
      A field ``[..., *field_shape]``.
    """
    if hparams.forcing == "identity":
        forced = inputs
    elif hparams.forcing == "dense":
        forced = (inputs @ params.forcing).reshape(
            *inputs.shape[:-1], *hparams.field_shape
        )
    else:
        forced = coupling.couple(hparams.topology, inputs, params.forcing)
    return forced + params.bias


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
    value = constants(hparams, params)
    topology = hparams.topology
    force = (
        coupling.couple(topology, x, params.coupling_x, implementation)
        + coupling.couple(topology, v, params.coupling_v, implementation)
        + drive
    )
    pull = value["gamma"] * x + value["alpha"] * v
    v = v + value["dt"] * (scans.ACTIVATIONS[hparams.activation](force) - pull)
    x = x + value["dt"] * v
    return OscillatorState(x, v)


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
    coupling.check_implementation(implementation)
    if implementation == "xla":
        drives = drive(hparams, params, inputs)
        advance = functools.partial(
            step, hparams, params, implementation=implementation
        )
        return unroll(advance, state, drives, remat=remat)
    value = constants(hparams, params)
    fixed = all(isinstance(number, int | float) for number in value.values())
    if hparams.topology != "dense" and fixed:
        return _run_scan(hparams, params, state, inputs, remat, value)

    # The drive is computed inside the loop: an input is shorter than the field that it
    # drives, and drives of all times would be written and read again as whole fields.
    def advance(state: OscillatorState, inputs: jax.Array) -> OscillatorState:
        driven = drive(hparams, params, inputs)
        return step(hparams, params, state, driven, implementation)

    return unroll(advance, state, inputs, remat=remat)


def _run_scan(hparams, params, state, inputs, remat, value):
    """`run` by `scans.scan_oscillators`, for so many examples at a time as are fast."""
    weights = scans.Weights(
        params.forcing.reshape(-1, *hparams.field_shape),
        params.bias,
        jnp.concatenate([params.coupling_x, params.coupling_v], axis=-2),
    )
    scan = functools.partial(
        scans.scan_oscillators,
        scans.Constants(hparams.activation, **value),
        weights,
    )

    def run_part(part):
        state, inputs = part
        return unroll_scan(scan, tuple(state), inputs, remat=remat)

    size = _examples_at_once(hparams, len(inputs))
    if size == len(inputs):
        last, states = run_part((state, inputs))
    else:
        parts = jax.tree.map(
            lambda a: a.reshape(-1, size, *a.shape[1:]), (state, inputs)
        )
        last, states = jax.tree.map(
            lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(run_part, parts)
        )
    return OscillatorState(*last), OscillatorState(*states)


def _examples_at_once(hparams: OscillatorHParams, batch: int) -> int:
    """How many examples a CPU's cache holds: a divisor of the batch."""
    sharded = jax.sharding.get_abstract_mesh().size > 1
    if jax.default_backend() != "cpu" or sharded:
        return batch
    near = math.prod(hparams.kernel_shape) * 2 * math.prod(hparams.field_shape)
    wanted = max(1, _CACHE_NUMBERS // near)
    return max(n for n in range(1, min(wanted, batch) + 1) if batch % n == 0)

"""Fields of linear oscillators that are solved exactly and in parallel over time.

A field of damped oscillators with local couplings on a ring or torus is diagonal under
the spatial Fourier transform. Per channel, mode k of the field follows

    x'' = -(gamma + kappa(k)) x - (alpha + nu(k) + i beta(k)) x' + f

    kappa(k) = sum_j stiffness_j^2 (2 - 2 cos(k . delta_j))     springs between neighbours
    nu(k)    = sum_j friction_j^2 (2 - 2 cos(k . delta_j))      friction between neighbours
    beta(k)  = sum_j gyration_j 2 sin(k . delta_j)              gyroscopic coupling

where delta_j are the offsets of one half of a k x k neighbourhood (the other half is
implied by symmetry). kappa and nu are never negative. beta is odd in k and acts on the
velocity: it does no work, and makes the two directions differ. Without drive the energy
|v|^2 / 2 + (gamma + kappa) |x|^2 / 2 never grows, whatever the weights are.

Every mode has two branches with a frequency and a damping each (`dispersion`). Because the
recurrence is linear and the same at all times, `core.linear_scan` computes whole sequences
without stepping. A field of a single point, with one oscillator per channel and the
scheme "imex", is the damped LinOSS (arXiv:2410.03943, arXiv:2505.12171).
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nwm_jax.core import spectral
from nwm_jax.core.equations import aligned
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.transition import SCHEMES, Transition, advance, transition
from nwm_jax.errors import UserError

RANKS = {"point": 0, "ring": 1, "torus": 2}
FORCINGS = ("pointwise", "dense")


@dataclasses.dataclass(frozen=True)
class LinearWaveHParams:
    """Describes a field of linear oscillators, apart from its weights.

    Attributes:
      topology: "torus", "ring", or "point" (no space: LinOSS).
      size: cells: ``(H, W)``, ``(rings, ring)``, or ``()`` for a point.
      channels: C, oscillators at every cell, each with its own couplings.
      input_channels: channels of an input field, or F for a "dense" forcing.
      kernel_size: odd width of the neighbourhood.
      forcing: "dense": from a vector of F numbers to every oscillator; "pointwise": from
        a field, the same matrix at every cell.
      scheme: "exact", "implicit" or "imex", see `core.transition`.
      gyroscopic: whether gyration is learned; without it all waves have a twin that
        travels in the opposite direction.
      dt, gamma, alpha: ranges ``(low, high)`` of the first step sizes (inside (0, 1)),
        stiffnesses (> 0) and dampings (> 0); each channel draws its own, and learns it.
      coupling: standard deviation of the first coupling weights, >= 0.

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    topology: str
    size: tuple[int, ...] = ()
    channels: int = 1
    input_channels: int = 1
    kernel_size: int = 3
    forcing: str = "dense"
    scheme: str = "exact"
    gyroscopic: bool = True
    dt: tuple[float, float] = (0.05, 0.5)
    gamma: tuple[float, float] = (0.05, 1.0)
    alpha: tuple[float, float] = (0.001, 0.1)
    coupling: float = 0.5

    def __post_init__(self) -> None:
        for name in ("size", "dt", "gamma", "alpha"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check(self)

    @property
    def rank(self) -> int:
        """Spatial axes along which waves travel: 0, 1 or 2."""
        return RANKS[self.topology]

    @property
    def field_shape(self) -> tuple[int, ...]:
        """Shape of x (and of v) without the batch: ``(*size, C)``."""
        return (*self.size, self.channels)

    @property
    def mode_shape(self) -> tuple[int, ...]:
        """Shape of x in the Fourier domain, without the batch."""
        if not self.rank:
            return self.field_shape
        return (*self.size[:-1], self.size[-1] // 2 + 1, self.channels)

    @property
    def offsets(self) -> np.ndarray:
        """The offsets delta_j of one half of the neighbourhood: ``[J, rank]``."""
        reach = range(-(self.kernel_size // 2), self.kernel_size // 2 + 1)
        cells = np.stack(np.meshgrid(*[reach] * max(self.rank, 1), indexing="ij"), -1)
        cells = cells.reshape(-1, max(self.rank, 1))
        # Ordered by rows, the cells after the middle are the negatives of those before.
        half = cells[len(cells) // 2 + 1 :] if self.rank else cells[:0]
        return half[:, : self.rank]


def _check(hparams: LinearWaveHParams) -> None:
    """Raises UserError if a description of a field contradicts itself."""
    h = hparams
    for word, value, known in [
        ("topology", h.topology, tuple(RANKS)),
        ("forcing", h.forcing, FORCINGS),
        ("scheme", h.scheme, SCHEMES),
    ]:
        if value not in known:
            raise UserError(f"unknown {word} {value!r}; one of {', '.join(known)}")
    axes = 0 if h.topology == "point" else 2
    if len(h.size) != axes:
        raise UserError(f"a {h.topology} field has {axes} sizes, got size={h.size}")
    if min(*h.size, h.channels, h.input_channels, 1) < 1:
        raise UserError(
            "sizes and channels must be 1 or more, got "
            f"size={h.size}, channels={h.channels}, input_channels={h.input_channels}"
        )
    around = h.size[len(h.size) - h.rank :]
    if around and (h.kernel_size % 2 == 0 or not 1 <= h.kernel_size <= min(around)):
        raise UserError(
            f"kernel_size must be odd and at most {min(around)}, the size of the "
            f"field, got {h.kernel_size}"
        )
    for name, top in [("dt", 1.0), ("gamma", math.inf), ("alpha", math.inf)]:
        value = getattr(h, name)
        if len(value) != 2 or not 0.0 < value[0] <= value[1] < top:
            raise UserError(
                f"{name} must be a range (low, high) with 0 < low <= high < {top:g}, "
                f"got {value}"
            )
    if not 0.0 <= h.coupling < math.inf:
        raise UserError(f"coupling must be 0 or more, got {h.coupling}")


class LinearWaveParams(NamedTuple):
    """Weights of a field of linear oscillators.

    forcing: ``[F, *field_shape]`` (dense) or ``[C_in, C]`` (pointwise).
    dt, gamma, alpha: ``[C]``, raw: sigmoid(dt), softplus(gamma), softplus(alpha).
    stiffness, friction, gyration: ``[J, C]``, or None: a point and a kernel of one cell
    have no neighbours, and gyration may be left out.
    """

    forcing: jax.Array
    dt: jax.Array
    gamma: jax.Array
    alpha: jax.Array
    stiffness: jax.Array | None
    friction: jax.Array | None
    gyration: jax.Array | None


def init_params(
    key: jax.Array, hparams: LinearWaveHParams, dtype: DTypeLike = jnp.float32
) -> LinearWaveParams:
    """Draws the first weights.

    dt, gamma and alpha are uniform in their ranges; stiffness and gyration normal with
    standard deviation `coupling`, friction a tenth of it; forcing normal with standard
    deviation 1 / sqrt(F or C_in).

    Args:
      key: a JAX random key.
      hparams: the description of the field.
      dtype: of every weight.
    """
    keys = jax.random.split(key, 7)
    channels, neighbours = (hparams.channels,), len(hparams.offsets)

    def uniform(key: jax.Array, limits: tuple[float, float]) -> jax.Array:
        return jax.random.uniform(key, channels, dtype, *limits)

    def normal(key: jax.Array, shape: tuple[int, ...], deviation: float) -> jax.Array:
        return deviation * jax.random.normal(key, shape, dtype)

    def coupling(key: jax.Array, deviation: float) -> jax.Array | None:
        return normal(key, (neighbours, *channels), deviation) if neighbours else None

    shape = hparams.field_shape if hparams.forcing == "dense" else channels
    scale = 1.0 / math.sqrt(hparams.input_channels)
    return LinearWaveParams(
        forcing=normal(keys[0], (hparams.input_channels, *shape), scale),
        dt=jax.scipy.special.logit(uniform(keys[1], hparams.dt)),
        gamma=_inverse_softplus(uniform(keys[2], hparams.gamma)),
        alpha=_inverse_softplus(uniform(keys[3], hparams.alpha)),
        stiffness=coupling(keys[4], hparams.coupling),
        friction=coupling(keys[5], 0.1 * hparams.coupling),
        gyration=coupling(keys[6], hparams.coupling) if hparams.gyroscopic else None,
    )


def _inverse_softplus(value: jax.Array) -> jax.Array:
    return value + jnp.log(-jnp.expm1(-value))


def initial_state(
    hparams: LinearWaveHParams, batch: int, dtype: jnp.dtype = jnp.float32
) -> OscillatorState:
    """Returns a field at rest: zeros ``[batch, *field_shape]``, twice."""
    zeros = jnp.zeros((batch, *hparams.field_shape), dtype)
    return OscillatorState(zeros, zeros)


class Symbol(NamedTuple):
    """The coefficients of every mode, ``[*modes, C]``.

    stiffness: gamma + kappa. damping: alpha + nu. gyration: beta, or None.
    """

    stiffness: jax.Array
    damping: jax.Array
    gyration: jax.Array | None


def symbol(
    hparams: LinearWaveHParams, params: LinearWaveParams, *, half: bool = True
) -> Symbol:
    """Computes the coefficients of the modes from the couplings.

    Args:
      hparams: the description of the field.
      params: its weights.
      half: the modes that the transforms keep (`mode_shape`), or all, laid out as
        `numpy.fft.fftfreq`, ``[*size of the periodic axes, C]``.
    """
    phases = _phases(hparams, half)
    cosines, sines = 2.0 - 2.0 * np.cos(phases), 2.0 * np.sin(phases)
    stiffness, friction = (_weigh(cosines, w**2) for w in _couplings(params))
    return Symbol(
        aligned(jax.nn.softplus(params.gamma), stiffness) + stiffness,
        aligned(jax.nn.softplus(params.alpha), friction) + friction,
        None if params.gyration is None else _weigh(sines, params.gyration),
    )


def _couplings(params: LinearWaveParams) -> list[jax.Array]:
    """Stiffness and friction ``[J, C]``, J = 0 where there are no neighbours."""
    none = jnp.zeros((0, *params.gamma.shape), params.gamma.dtype)
    return [none if w is None else w for w in (params.stiffness, params.friction)]


def _phases(hparams: LinearWaveHParams, half: bool) -> np.ndarray:
    """Returns k . delta_j for every mode and offset: ``[*modes, J]``."""
    around = hparams.size[len(hparams.size) - hparams.rank :]
    numbers = spectral.wave_numbers(around, half=half)
    return sum(
        (k[..., None] * d for k, d in zip(numbers, hparams.offsets.T, strict=True)),
        np.zeros(len(hparams.offsets)),
    )


def _weigh(waves: np.ndarray, weights: jax.Array) -> jax.Array:
    """Sums over offsets: ``[..., J]`` times ``[J, C]``."""
    cast = jnp.asarray(waves, weights.dtype)
    return jnp.einsum("...j,jc->...c", cast, weights, precision="highest")


def dispersion(
    hparams: LinearWaveHParams, params: LinearWaveParams
) -> tuple[jax.Array, jax.Array]:
    """Computes the dispersion relation: frequency and damping of both branches.

    A wave ``exp(i (k.r - omega t) - damping t)`` has

        omega = beta / 2 +- Re Omega,  damping = (alpha + nu) / 2 +- Im(-Omega),
        Omega = sqrt(gamma + kappa - (alpha + nu + i beta)^2 / 4).

    Args:
      hparams: the description of the field.
      params: its weights.

    Returns:
      omega and damping, ``[2, *modes, C]``, for all k (laid out as `numpy.fft.fftfreq`)
      in radians per unit of time; the first branch has the larger frequency.
    """
    exponents, _ = _exponents(hparams, params)
    return -exponents.imag, -exponents.real


def group_velocity(hparams: LinearWaveHParams, params: LinearWaveParams) -> jax.Array:
    """Computes d omega / d k of both branches: how fast packets of waves move.

    With the exponent s = -damping - i omega of a branch, s^2 + d s + a = 0, so that

        d s / d k = -(d a / d k + s d d / d k) / (2 s + d)

    Args:
      hparams: the description of the field.
      params: its weights.

    Returns:
      ``[2, rank, *modes, C]`` in cells per unit of time, the components in the order of
      the axes; not finite at critical damping, where both branches meet.
    """
    s, d = _exponents(hparams, params)
    phases = _phases(hparams, half=False)
    velocities = []
    springs, dampers = _couplings(params)
    for offsets in hparams.offsets.T:
        sines, cosines = 2.0 * np.sin(phases) * offsets, 2.0 * np.cos(phases) * offsets
        da = _weigh(sines, springs**2)
        dd = _weigh(sines, dampers**2)
        if params.gyration is not None:
            dd = jax.lax.complex(dd, _weigh(cosines, params.gyration))
        velocities.append(((da[None] + s * dd[None]) / (2.0 * s + d[None])).imag)
    shape = (2, 0, *s.shape[1:])
    return jnp.stack(velocities, 1) if velocities else jnp.zeros(shape, s.real.dtype)


def _exponents(
    hparams: LinearWaveHParams, params: LinearWaveParams
) -> tuple[jax.Array, jax.Array]:
    """The exponents of both branches, ``[2, *modes, C]``, and d of every mode."""
    a, g, b = symbol(hparams, params, half=False)
    d = jax.lax.complex(g, jnp.zeros_like(g) if b is None else b)
    root = jnp.sqrt(a - d**2 / 4.0)
    return jnp.stack([-d / 2.0 - 1j * root, -d / 2.0 + 1j * root]), d


def step_sizes(params: LinearWaveParams) -> jax.Array:
    """Returns dt of every channel, ``[C]``, in (0, 1)."""
    return jax.nn.sigmoid(params.dt)


def constants(params: LinearWaveParams) -> dict[str, jax.Array]:
    """Returns dt, gamma and alpha of every channel, ``[C]``, dt in (0, 1), all above 0."""
    return {
        "dt": step_sizes(params),
        "gamma": jax.nn.softplus(params.gamma),
        "alpha": jax.nn.softplus(params.alpha),
    }


def transitions(hparams: LinearWaveHParams, params: LinearWaveParams) -> Transition:
    """Computes the 2 x 2 step of every mode; arrays broadcast to `mode_shape`."""
    modes = symbol(hparams, params)
    dt = aligned(step_sizes(params), modes.stiffness)
    step = transition(hparams.scheme, dt, *modes)
    # Rings share their couplings.
    return Transition(*(a[None] for a in step)) if hparams.rank == 1 else step


def drive(
    hparams: LinearWaveHParams, params: LinearWaveParams, inputs: jax.Array
) -> jax.Array:
    """Computes the force f of the inputs, for any number of times at once.

    Args:
      hparams: the description of the field.
      params: its weights.
      inputs: ``[..., F]`` (dense) or ``[..., *size, C_in]`` (pointwise).

    Returns:
      ``[..., *field_shape]``.
    """
    return jnp.tensordot(inputs, params.forcing, 1, precision="highest")


def step(
    hparams: LinearWaveHParams,
    params: LinearWaveParams,
    state: OscillatorState,
    drive: jax.Array,
) -> OscillatorState:
    """Computes one time step of the field.

    Args:
      hparams: the description of the field.
      params: its weights.
      state: x and v, ``[B, *field_shape]``.
      drive: the force within the step, ``[B, *field_shape]``.

    Returns:
      The next state.
    """
    modes = to_modes(hparams, state)
    force = spectral.to_modes(drive, hparams.rank)
    return to_fields(hparams, advance(transitions(hparams, params), modes, force))


def to_modes(hparams: LinearWaveHParams, state: OscillatorState) -> OscillatorState:
    """Computes the modes of a state."""
    return OscillatorState(*(spectral.to_modes(s, hparams.rank) for s in state))


def to_fields(hparams: LinearWaveHParams, modes: OscillatorState) -> OscillatorState:
    """Computes the state that has these modes."""
    last = hparams.size[-1] if hparams.rank else 1
    return OscillatorState(*(spectral.to_field(m, hparams.rank, last) for m in modes))

"""The Wave-RNN and the identity RNN: a hidden state that moves along a ring.

With u an input vector and h the hidden state,

    h_{t+1} = act(V u_t + b + U * h_t + c)

Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past and Enhance
Sequence Learning", ICLR 2024 (arXiv:2309.08045), eqs. 1-3. ``*`` is one of

=========  ===========  ==================  =============================================
topology   state        weights U           what it is
=========  ===========  ==================  =============================================
ring       ``[n, C]``   ``[k, C, C]``       wave RNN: one kernel, shared round the ring
local      ``[n, C]``   ``[n, k, C, C]``    locally connected: a kernel for every place
dense      ``[N]``      ``[N, N]``          identity RNN (arXiv:1504.00941), N = n C
=========  ===========  ==================  =============================================

Kernels are cross-correlations: tap k // 2 is the place itself, and a lone 1 on the tap
after it moves the state by one place a step, from p to p - 1 round the ring. A dense
state is ordered by channel, then place.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nwm_jax.core import coupling, scans
from nwm_jax.core.equations import ACTIVATIONS, aligned
from nwm_jax.core.init import uniform
from nwm_jax.errors import UserError

TOPOLOGIES = ("ring", "local", "dense")
COUPLING_INITS = ("shift", "identity", "random")
INPUT_INITS = ("single", "normal", "uniform")
FREEZABLE = ("input", "coupling")


@dataclasses.dataclass(frozen=True)
class WaveHParams:
    """What a wave or identity RNN is, apart from its weights.

    Attributes:
      topology: "ring", "local" or "dense".
      units: n, places of a ring.
      inputs: F, length of an input vector.
      channels: C, rings side by side, mixed by the coupling.
      kernel_size: k, odd, at most n; not used by "dense".
      activation: "relu", "tanh" or "identity", of every step.
      coupling_init: U at first: "shift" moves the state by one place a step,
        "identity" keeps it in place, "random" is drawn.
      input_init: V at first: "single" is 1 from every input to place 0 of every
        channel and 0 elsewhere; "normal" has standard deviation 0.001; "uniform" is
        drawn like the biases, by its fan in.
      speed: of "shift", places a step, in [0, 1]: weights 1 - speed on a place, speed on
        the next.
      zero_coupling_bias: start with c = 0. The reference program draws c of a ring at
        random even for "shift", so that under ReLU half of the channels forget early.
      frozen: what is not trained: "input" (V and b), "coupling" (U and c).

    Raises:
      UserError: an unknown name, or numbers that do not fit together.
    """

    topology: str
    units: int
    inputs: int
    channels: int = 1
    kernel_size: int = 3
    activation: str = "relu"
    coupling_init: str = "shift"
    input_init: str = "single"
    speed: float = 1.0
    zero_coupling_bias: bool = False
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # A list, as a config may hold it, would make the description unhashable.
        object.__setattr__(self, "frozen", tuple(self.frozen))
        for word, value, known in [
            ("topology", self.topology, TOPOLOGIES),
            ("activation", self.activation, tuple(ACTIVATIONS)),
            ("coupling_init", self.coupling_init, COUPLING_INITS),
            ("input_init", self.input_init, INPUT_INITS),
            *(("part to freeze", part, FREEZABLE) for part in self.frozen),
        ]:
            if value not in known:
                raise UserError(f"unknown {word} {value!r}; one of {', '.join(known)}")
        if min(self.units, self.inputs, self.channels) < 1:
            raise UserError(
                f"units, inputs and channels must be 1 or more, got {self.units}, "
                f"{self.inputs} and {self.channels}"
            )
        object.__setattr__(self, "speed", float(self.speed))
        if not 0.0 <= self.speed <= 1.0:
            raise UserError(
                f"speed={self.speed:g} must be from 0 to 1 places a step: beyond it the "
                "weights 1 - speed and speed make states grow"
            )
        size = self.kernel_size
        if self.topology != "dense" and (size % 2 == 0 or not 1 <= size <= self.units):
            raise UserError(
                f"kernel_size must be odd and at most units={self.units}, got {size}"
            )

    @property
    def field_shape(self) -> tuple[int, ...]:
        """Shape of a state without the batch: (n, C), or (N,) for dense."""
        if self.topology == "dense":
            return (self.units * self.channels,)
        return (self.units, self.channels)


class WaveParams(NamedTuple):
    """Weights of a wave or identity RNN.

    forcing: V, ``[F, n, C]`` or ``[F, N]``.
    bias: b, ``[n, C]`` or ``[N]``.
    coupling: U, ``[k, C, C]``, ``[n, k, C, C]`` or ``[N, N]``, from the axis before the
      last to the last.
    coupling_bias: c, ``[C]``, ``[n, C]`` or ``[N]``.
    """

    forcing: jax.Array
    bias: jax.Array
    coupling: jax.Array
    coupling_bias: jax.Array


def init_params(
    key: jax.Array, hparams: WaveHParams, dtype: DTypeLike = jnp.float32
) -> WaveParams:
    """Draws the weights as the reference program does.

    b is zero for "single" inputs, else uniform in ±1/sqrt(F). c is uniform in
    ±1/sqrt(C k) on rings; zero if local; zero if dense, except for a "random" coupling,
    ±1/sqrt(N). A "random" coupling is uniform within the same bounds; if local, within
    sqrt(6 / (C n k (C + 1))).

    Args:
      key: a JAX random key.
      hparams: the description of the RNN.
      dtype: of the weights.

    Returns:
      `WaveParams`.
    """
    keys = jax.random.split(key, 4)
    forcing, bias = _init_input(keys[0], keys[1], hparams, dtype)
    n, channels, size = hparams.units, hparams.channels, hparams.kernel_size
    shape, bias_shape, fan_in = {
        "ring": ((size, channels, channels), (channels,), channels * size),
        "local": ((n, size, channels, channels), (n, channels), 1),
        "dense": ((n * channels, n * channels), (n * channels,), n * channels),
    }[hparams.topology]
    random = hparams.coupling_init == "random"
    if random:
        coupling = uniform(keys[2], shape, fan_in, dtype)
    else:
        coupling = jnp.asarray(_init_shift(hparams), dtype)
    if random and hparams.topology == "local":
        # Glorot's rule, read off all axes of the reference program's array.
        coupling *= math.sqrt(6.0 / (channels * n * size * (channels + 1)))
    drawn = hparams.topology == "ring" or (random and hparams.topology == "dense")
    if drawn and not hparams.zero_coupling_bias:
        coupling_bias = uniform(keys[3], bias_shape, fan_in, dtype)
    else:
        coupling_bias = jnp.zeros(bias_shape, dtype)
    return WaveParams(forcing, bias, coupling, coupling_bias)


def _init_input(
    key: jax.Array, key_bias: jax.Array, hparams: WaveHParams, dtype: DTypeLike
) -> tuple[jax.Array, jax.Array]:
    shape = (hparams.inputs, *hparams.field_shape)
    if hparams.input_init == "single":
        forcing = np.zeros((hparams.inputs, hparams.units, hparams.channels))
        forcing[:, 0] = 1.0
        if hparams.topology == "dense":
            forcing = np.moveaxis(forcing, 2, 1)
        return jnp.asarray(forcing.reshape(shape), dtype), jnp.zeros(shape[1:], dtype)
    bias = uniform(key_bias, hparams.field_shape, hparams.inputs, dtype)
    if hparams.input_init == "normal":
        return 0.001 * jax.random.normal(key, shape, dtype), bias
    return uniform(key, shape, hparams.inputs, dtype), bias


def _init_shift(hparams: WaveHParams) -> np.ndarray:
    """The coupling that moves a state by `speed` places a step, or not at all."""
    speed = hparams.speed if hparams.coupling_init == "shift" else 0.0
    if hparams.topology == "dense":
        # One ring of all N units: unit i hears unit i + 1.
        here = np.eye(hparams.units * hparams.channels)
        return (1.0 - speed) * here + speed * np.roll(here, 1, axis=0)
    size = hparams.kernel_size
    taps = np.zeros(size)
    taps[size // 2] += 1.0 - speed
    # A kernel of one tap has no neighbour: it stays in place.
    taps[(size // 2 + 1) % size] += speed
    kernel = taps[:, None, None] * np.eye(hparams.channels)
    if hparams.topology == "local":
        kernel = np.repeat(kernel[None], hparams.units, axis=0)
    return kernel


def initial_state(
    hparams: WaveHParams, batch: int, dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Zeros of `dtype`, ``[batch, *field_shape]``."""
    return jnp.zeros((batch, *hparams.field_shape), dtype)


def drive(hparams: WaveHParams, params: WaveParams, inputs: jax.Array) -> jax.Array:
    """What the inputs put into the activation: ``V u + b``.

    Args:
      hparams: the description of the RNN.
      params: its weights.
      inputs: u, ``[..., F]``; any leading axes, such as batch and time.

    Returns:
      ``[..., *field_shape]``.
    """
    forcing, bias = _thaw(hparams, "input", (params.forcing, params.bias))
    forced = coupling.product(inputs, forcing)
    return forced + aligned(bias, forced)


def step(
    hparams: WaveHParams,
    params: WaveParams,
    state: jax.Array,
    drive: jax.Array,
    implementation: str = "auto",
) -> jax.Array:
    """One time step (the equation at the top of this file).

    Args:
      hparams: the description of the RNN.
      params: its weights.
      state: h, ``[B, *field_shape]``.
      drive: what `drive` returned for this time, ``[B, *field_shape]``.
      implementation: of the coupling on a ring, see `coupling.couple`.

    Returns:
      The next state.
    """
    weights, bias = _thaw(hparams, "coupling", (params.coupling, params.coupling_bias))
    moved = coupling.couple(hparams.topology, state, weights, implementation)
    return ACTIVATIONS[hparams.activation](drive + moved + aligned(bias, moved))


def run(
    hparams: WaveHParams,
    params: WaveParams,
    state: jax.Array,
    inputs: jax.Array,
    *,
    remat: int = 0,
    implementation: str = "auto",
) -> tuple[jax.Array, jax.Array]:
    """All steps of a sequence.

    Args:
      hparams: the description of the RNN.
      params: its weights.
      state: h before the first step, ``[B, *field_shape]``.
      inputs: ``[B, T, F]``.
      remat: as in `core.unroll.unroll`.
      implementation: "auto", or "xla" for the plain formulation to compare with: all
        drives before the loop, XLA's convolution on rings, automatic gradients. They
        agree to rounding; on rings "auto" has no forward-mode derivatives.

    Returns:
      The last state, and the state after every step, ``[B, T, *field_shape]``.

    Raises:
      UserError: unknown implementation, or a negative `remat`.
    """
    scan = None
    if hparams.topology == "ring":
        forcing, bias = _thaw(hparams, "input", (params.forcing, params.bias))
        kernel, more = _thaw(
            hparams, "coupling", (params.coupling, params.coupling_bias)
        )
        weights = scans.Weights(forcing, bias + aligned(more, bias), kernel)
        scan = functools.partial(scans.scan_wave, hparams.activation, weights)
    return scans.run(
        functools.partial(drive, hparams, params),
        functools.partial(step, hparams, params),
        scan,
        state,
        inputs,
        remat=remat,
        implementation=implementation,
    )


def _thaw(
    hparams: WaveHParams, part: str, weights: tuple[jax.Array, ...]
) -> tuple[jax.Array, ...]:
    """The weights of a part, without gradients if it is frozen."""
    return jax.lax.stop_gradient(weights) if part in hparams.frozen else weights

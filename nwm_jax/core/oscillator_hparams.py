"""What a field of oscillators is, apart from its weights, and the ranges of it.

The equations and the words are those of `core.oscillator`.
"""

import dataclasses
import math
import operator
from collections.abc import Sequence

from nwm_jax.core import coupling
from nwm_jax.core.equations import ACTIVATIONS
from nwm_jax.errors import UserError

# sigmoid(-1.95), the reference program's first step size; the paper rounds it to 0.125.
DEFAULT_DT = 1.0 / (1.0 + math.exp(1.95))
FORCINGS = ("coupling", "identity", "dense")
LEARNABLE = ("dt", "gamma", "alpha")
TAPS = ("all", "next", "self", "one")
# Of constants and first weights: beyond it float32 does not hold their products.
_LARGEST = 1e6


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
      taps: what of a kernel there is: "all"; one number for the "next" cell on a ring,
        of a kernel_size of 3, or for the cell it"self"; "one": the cell itself, with a
        weight of 1 that is not learned. All but "all" are for one channel on rings.
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
    taps: str = "all"

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
        ("activation", h.activation, tuple(ACTIVATIONS)),
        ("taps", h.taps, TAPS),
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
    if h.taps == "next" and h.kernel_size != 3:
        raise UserError(
            f"kernel_size={h.kernel_size}: oscillators on rings hear one neighbour, which "
            "is a kernel of 3"
        )
    if h.taps != "all" and (h.topology != "ring" or h.channels > 1):
        raise UserError(f"taps {h.taps!r} are for one channel on rings")
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

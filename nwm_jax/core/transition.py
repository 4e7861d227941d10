"""One time step of a damped linear oscillator, in closed form: 2 x 2 matrices.

    x'' = -a x - d x' + f,   a > 0,  d = g + i b,  g >= 0

with stiffness a, damping g and gyroscopic rate b of one mode (arrays of any shape). The
state (x, v) and a force f that is constant within a step give the next state

    (x, v) <- M (x, v) + (p, q) f

Schemes:

  exact      M = exp(A dt), A = [[0, 1], [-a, -d]]; zero-order hold of f. Stable for all
             dt, and smooth through critical damping, see `_exact`.
  implicit   v' = (v - dt a x + dt f) / (1 + dt d + dt^2 a), x' = x + dt v'
             (LinOSS-IM, arXiv:2410.03943, eq. 3): stable for all dt, dissipative.
  imex       v' = (e^{-2 i h} v + e^{-i h} dt (f - a x)) / (1 + dt g), x' = x + dt v',
             h = dt b / 2. Without b it is the damped LinOSS (arXiv:2505.12171). It is
             stable for dt^2 a < 2 (2 + dt g) cos h; a and b are kept in that range.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core.equations import aligned
from nwm_jax.core.oscillator import OscillatorState

SCHEMES = ("exact", "implicit", "imex")

# Taylor coefficients of cosh(sqrt(z)), sinh(sqrt(z)) / sqrt(z) and (e^s - 1) / s; so many
# that what is left out is below 1e-17 for |z| < 1 and |s| < 1/4.
_TERMS = 10
_FACTORIALS = np.cumprod([1.0, *range(1, 40)])
_COSH = 1.0 / _FACTORIALS[: 2 * _TERMS : 2]
_SINHC = 1.0 / _FACTORIALS[1 : 2 * _TERMS : 2]
_PHI = 1.0 / _FACTORIALS[1 : _TERMS + 2]
# The response to a force is a power series where dt^2 a and |d dt / 2| are below these.
_SMALL_STIFFNESS, _SMALL_DAMPING = 0.25, 1.2
_RESPONSE = 1.0 / _FACTORIALS[2:32]

# imex: how near to the border of stability stiffness may come, and the largest |h|.
_MARGIN = 0.999
_LARGEST_TURN = 1.0


class Transition(NamedTuple):
    """A step ``(x, v) <- M (x, v) + (p, q) f``; arrays of the shape of the modes.

    xx, xv, vx, vv: the entries of M: the new x from x, the new x from v, ...
    xf, vf: p and q, what a constant force of 1 adds to x and v within the step.
    """

    xx: jax.Array
    xv: jax.Array
    vx: jax.Array
    vv: jax.Array
    xf: jax.Array
    vf: jax.Array


def transition(
    scheme: str,
    dt: jax.Array,
    stiffness: jax.Array,
    damping: jax.Array,
    gyration: jax.Array | None,
) -> Transition:
    """Computes one step of every mode.

    Args:
      scheme: one of `SCHEMES`.
      dt: step size, > 0.
      stiffness: a > 0.
      damping: g >= 0.
      gyration: b, or None for none (then everything stays real).

    Returns:
      The transition; all arguments broadcast against each other.
    """
    if scheme == "imex":
        return _imex(dt, stiffness, damping, gyration)
    d = damping if gyration is None else jax.lax.complex(*_alike(damping, gyration))
    if scheme == "implicit":
        return _implicit(dt, stiffness, d)
    return _exact(dt, stiffness, d)


def advance(
    step: Transition, modes: OscillatorState, force: jax.Array
) -> OscillatorState:
    """Applies one transition to the modes of a state, ``[..., *modes, C]``."""
    x, v = modes
    step = Transition(*(aligned(entry, x) for entry in step))
    return OscillatorState(
        step.xx * x + step.xv * v + step.xf * force,
        step.vx * x + step.vv * v + step.vf * force,
    )


def _alike(*arrays: jax.Array) -> list[jax.Array]:
    return jnp.broadcast_arrays(*arrays)


def _implicit(dt: jax.Array, a: jax.Array, d: jax.Array) -> Transition:
    scale = 1.0 / (1.0 + dt * d + dt**2 * a)
    vx, vv, vf = -dt * a * scale, scale, dt * scale
    return Transition(1.0 + dt * vx, dt * vv, vx, vv, dt * vf, vf)


def _imex(dt: jax.Array, a: jax.Array, g: jax.Array, b: jax.Array | None) -> Transition:
    cosine: jax.Array | float = 1.0
    half_turn: jax.Array | float = 1.0
    if b is not None:
        h = jnp.clip(dt * b / 2.0, -_LARGEST_TURN, _LARGEST_TURN)
        cosine, half_turn = jnp.cos(h), jnp.exp(-1j * h)
    scale = 1.0 / (1.0 + dt * g)
    a = jnp.minimum(a, _MARGIN * 2.0 * (2.0 + dt * g) * cosine / dt**2)
    vx, vv = -dt * a * half_turn * scale, half_turn**2 * scale
    vf = dt * half_turn * scale
    return Transition(1.0 + dt * vx, dt * vv, vx, vv, dt * vf, vf)


def _exact(dt: jax.Array, a: jax.Array, d: jax.Array) -> Transition:
    """Exponential of A dt and the integral of its response to a force.

    With m = -d dt / 2, q = a dt^2 and the discriminant z = m^2 - q,

        exp(A dt) = C + S (A dt - m),  C = e^m cosh(sqrt z),  S = e^m sinh(sqrt z) / sqrt z

    which are entire functions of z: nothing happens at critical damping, z = 0, where the
    two roots m +- sqrt z meet. Near it they are power series in z; elsewhere the roots
    are apart, and formulas in them neither lose digits nor overflow.
    """
    m, q = _alike(-d * dt / 2.0, a * dt**2)
    z = m**2 - q
    meet = _square(z) < 1.0
    inside, decay = jnp.where(meet, z, 0.0), jnp.exp(jnp.where(meet, m, 0.0))
    near, far = _roots(
        jnp.where(meet, 0.0, m), jnp.where(meet, 1.0, q), jnp.where(meet, -1.0, z)
    )
    exp_near, exp_far = jnp.exp(near), jnp.exp(far)
    c = jnp.where(meet, decay * _sum(_COSH, inside), (exp_near + exp_far) / 2.0)
    s = jnp.where(
        meet, decay * _sum(_SINHC, inside), (exp_near - exp_far) * _invert(near - far)
    )
    xx, vv = c - m * s, c + m * s
    xf = _response(m, q, xx)
    if not jnp.iscomplexobj(m):
        xx, vv, s, xf = (value.real for value in (xx, vv, s, xf))
    return Transition(xx, dt * s, -a * dt * s, vv, dt**2 * xf, dt * s)


def _roots(m: jax.Array, q: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The roots m +- sqrt z, whose product is q; the one with the larger size second."""
    w = jnp.sqrt(jnp.asarray(z, jnp.result_type(z.dtype, jnp.complex64)))
    # The sign for which m - w does not cancel; the other root by the product.
    far = m - jnp.where((jnp.conj(m) * w).real > 0.0, -w, w)
    return q * _invert(far), far


def _response(m: jax.Array, q: jax.Array, xx: jax.Array) -> jax.Array:
    """What a constant force of 1 adds to x within a step, over dt^2.

    It is (1 - M_xx) / q, which loses digits for small q. There it is a power series, or,
    where one root s' is small and the other s is not, (phi(s') - phi(s)) / (s' - s) with
    phi(s) = (e^s - 1) / s.
    """
    stiff = q >= _SMALL_STIFFNESS
    free = ~stiff & (_square(m) < _SMALL_DAMPING**2)
    damped = ~stiff & ~free
    by_series = _sum_response(jnp.where(free, m, 0.0), jnp.where(free, q, 0.0))
    m, tame = jnp.where(damped, m, -2.0), jnp.where(damped, q, 0.0)
    near, far = _roots(m, tame, m**2 - tame)
    phi_far = (jnp.exp(far) - 1.0) * _invert(far)
    by_roots = (_sum(_PHI, near) - phi_far) * _invert(near - far)
    quotient = (1.0 - xx) * (1.0 / jnp.where(stiff, q, 1.0))
    return jnp.where(stiff, quotient, jnp.where(free, by_series, by_roots))


def _sum_response(m: jax.Array, q: jax.Array) -> jax.Array:
    """``sum_n h_n / (n + 2)!``, h_n = 2 m h_{n-1} - q h_{n-2}: powers of the roots."""

    def add(
        carry: tuple[jax.Array, jax.Array, jax.Array], factor: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        total, before, power = carry
        return (total + factor * power, power, 2.0 * m * power - q * before), None

    zeros = jnp.zeros_like(m)
    factors = jnp.asarray(_RESPONSE, m.real.dtype)
    (total, _, _), _ = jax.lax.scan(add, (zeros, zeros, zeros + 1.0), factors)
    return total


def _square(z: jax.Array) -> jax.Array:
    """``|z|^2``."""
    return z.real**2 + z.imag**2 if jnp.iscomplexobj(z) else z**2


def _invert(z: jax.Array) -> jax.Array:
    """``1 / z`` of complex numbers of ordinary size; XLA's takes long to compile."""
    return jnp.conj(z) * (1.0 / _square(z))


def _sum(coefficients: np.ndarray, z: jax.Array) -> jax.Array:
    """A power series by Horner's rule; as a loop, because XLA compiles it faster."""

    def add(total: jax.Array, factor: jax.Array) -> tuple[jax.Array, None]:
        return total * z + factor, None

    factors = jnp.asarray(coefficients[::-1].copy(), z.real.dtype)
    return jax.lax.scan(add, jnp.zeros_like(z), factors)[0]

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

SCHEMES = ("exact", "implicit", "imex")

# Taylor coefficients of cosh(sqrt(z)), sinh(sqrt(z)) / sqrt(z) and (e^s - 1) / s; so many
# that what is left out is below 1e-17 inside the unit circle.
_TERMS = 20
_FACTORIALS = np.cumprod([1.0, *range(1, 2 * _TERMS + 2)])
_COSH = 1.0 / _FACTORIALS[: 2 * _TERMS : 2]
_SINHC = 1.0 / _FACTORIALS[1 : 2 * _TERMS : 2]
_PHI = 1.0 / _FACTORIALS[1 : _TERMS + 1]
# Integrals over a step where the exponents are small; exact to rounding there.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)

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


def _alike(*arrays: jax.Array) -> list[jax.Array]:
    return jnp.broadcast_arrays(*arrays)


def _implicit(dt: jax.Array, a: jax.Array, d: jax.Array) -> Transition:
    scale = 1.0 / (1.0 + dt * d + dt**2 * a)
    vx, vv, vf = -dt * a * scale, scale, dt * scale
    return Transition(1.0 + dt * vx, dt * vv, vx, vv, dt * vf, vf)


def _imex(dt: jax.Array, a: jax.Array, g: jax.Array, b: jax.Array | None) -> Transition:
    cosine, half_turn = 1.0, 1.0
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

    With m = -d dt / 2 and the discriminant z = m^2 - a dt^2,

        exp(A dt) = e^m (C(z) + S(z) (A dt - m)),  C = cosh(sqrt z), S = sinh(sqrt z) / sqrt z

    C and S are entire functions of z: nothing happens at critical damping, z = 0, where
    the two roots s = m +- sqrt z meet. Near it they are summed as power series; elsewhere
    the roots are apart, and the formulas in them lose no digits and cannot overflow.
    """
    m, q = _alike(-d * dt / 2.0, a * dt**2)
    z = m**2 - q
    near = jnp.abs(z) < 1.0

    def choose(series: list[jax.Array], roots: list[jax.Array]) -> list[jax.Array]:
        return [jnp.where(near, s, r) for s, r in zip(series, roots, strict=True)]

    series = _by_series(m, jnp.where(near, z, 0.5), jnp.where(near, q, 1.0))
    roots = _by_roots(m, jnp.where(near, 2.0, z), jnp.where(near, m**2 - 2.0, q))
    xx, xv, vv, xf = choose(series, roots)
    return Transition(xx, dt * xv, -a * dt * xv, vv, dt**2 * xf, dt * xv)


def _by_series(m: jax.Array, z: jax.Array, q: jax.Array) -> list[jax.Array]:
    """M_xx, M_xv / dt, M_vv and p / dt^2 for ``|z| < 1``."""
    cosh, sinhc, decay = _sum(_COSH, z), _sum(_SINHC, z), jnp.exp(m)
    xx, xv, vv = decay * (cosh - m * sinhc), decay * sinhc, decay * (cosh + m * sinhc)
    # p / dt^2 = integral over s in [0, 1] of e^{m s} s S(z s^2) = (1 - M_xx) / q. The
    # first loses digits for large |m|, the second for small q.
    small = jnp.abs(m) < 2.0
    m_small = jnp.where(small, m, 0.0)
    # The nodes are a first axis: unrolled, they would take XLA minutes to compile.
    axis = (-1, *[1] * m.ndim)
    s = jnp.asarray((_NODES + 1.0) / 2.0, z.real.dtype).reshape(axis)
    weight = jnp.asarray(_WEIGHTS / 2.0, z.real.dtype).reshape(axis)
    integrand = weight * s * jnp.exp(m_small * s) * _sum(_SINHC, z * s**2)
    integral = jnp.sum(integrand, axis=0)
    quotient = (1.0 - xx) / jnp.where(small, 1.0, q)
    return [xx, xv, vv, jnp.where(small, integral, quotient)]


def _by_roots(m: jax.Array, z: jax.Array, q: jax.Array) -> list[jax.Array]:
    """As `_by_series`, for ``|z| >= 1``: the roots are at least 2 apart."""
    complex_z = jnp.asarray(z, jnp.result_type(z.dtype, jnp.complex64))
    w = jnp.sqrt(complex_z)
    # The sign for which m - w does not cancel; the other root by their product q.
    w = jnp.where((jnp.conj(m) * w).real > 0.0, -w, w)
    far = m - w
    near = q / far
    exp_near, exp_far = jnp.exp(near), jnp.exp(far)
    apart = near - far
    values = [
        (near * exp_far - far * exp_near) / apart,
        (exp_near - exp_far) / apart,
        (near * exp_near - far * exp_far) / apart,
        (_phi(near) - _phi(far)) / apart,
    ]
    return values if jnp.iscomplexobj(z) else [value.real for value in values]


def _phi(s: jax.Array) -> jax.Array:
    """``(e^s - 1) / s``, smooth at 0."""
    small = jnp.abs(s) < 1.0
    inside, outside = jnp.where(small, s, 0.0), jnp.where(small, 1.0, s)
    return jnp.where(small, _sum(_PHI, inside), (jnp.exp(outside) - 1.0) / outside)


def _sum(coefficients: np.ndarray, z: jax.Array) -> jax.Array:
    """A power series by Horner's rule."""
    total = jnp.zeros_like(z)
    for c in coefficients[::-1]:
        total = total * z + c
    return total

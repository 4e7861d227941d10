"""Sine and cosine in float64 for compiled loops.

XLA calls a scalar library function for each float64 sine on a CPU, once more in every
expression that it is fused into: most of the time of a double pendulum. The same
polynomials in plain arithmetic are vectorised.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = np.ndarray | jax.Array

# pi / 2 in three parts; the first two have 33 bits, so that a small integer times
# either is exact (Cody and Waite's reduction of the argument).
_HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
# Of sin r and cos r on |r| <= pi / 4, in powers of r^2 from the highest down: the
# minimax polynomials of fdlibm (s_sin.c, s_cos.c).
_SIN = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
)
_COS = (
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
)


def sin_cos(xp: Any, angle: Array) -> tuple[Array, Array]:
    """sin(angle) and cos(angle).

    Args:
      xp: numpy, or jax.numpy for JAX arrays.
      angle: radians, any shape. In float64 under JAX both are right to 2e-16 for
        |angle| < 1e5.

    Returns:
      Two arrays like `angle`.
    """
    if xp is not jnp or angle.dtype != jnp.float64:
        return xp.sin(angle), xp.cos(angle)
    quarter = jnp.round(angle * (2 / jnp.pi))
    rest = angle
    for part in _HALF_PI:
        rest = rest - quarter * part
    square = rest * rest
    sin = rest + rest * square * _polynomial(_SIN, square)
    cos = 1 - 0.5 * square + square * square * _polynomial(_COS, square)
    # Quarter turns, modulo 4, as 0, 1, 2 or -1, -2: cheaper than integers.
    quarter = quarter - 4 * jnp.round(0.25 * quarter)
    odd = jnp.abs(quarter) == 1
    half = jnp.abs(quarter) == 2
    new_sin = jnp.where(odd, quarter * cos, jnp.where(half, -sin, sin))
    new_cos = jnp.where(odd, -quarter * sin, jnp.where(half, -cos, cos))
    return new_sin, new_cos


def _polynomial(coefficients: tuple[float, ...], x: Array) -> jax.Array:
    total = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total

"""Moving a field round its rings by hand, and the slope of the angles that it shows."""

import math
from typing import Any

import numpy as np

from nwm_jax.errors import UserError


def roll_rings(field: np.ndarray, velocity: float, num_steps: int, xp: Any = np) -> Any:
    """Shifts a field along its rings, a little further with every step.

        y_t[.., i] = (1 - w) x[.., i - n] + w x[.., i - n - 1],   n + w = velocity t,

    with n whole, 0 <= w < 1 and indices modulo the length of the ring.

    Args:
      field: x, real ``[..., rings, ring]``, any unit.
      velocity: cells per step towards higher indices, any number.
      num_steps: how many, from t = 0.
      xp: the module of array functions, `numpy` or `jax.numpy`.

    Returns:
      ``[..., num_steps, rings, ring]``.

    Raises:
      UserError: fewer than two axes, no steps, or a velocity that is not finite.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), section 4.4.
    """
    if field.ndim < 2 or num_steps < 1 or not math.isfinite(velocity):
        raise UserError(
            "a field [..., rings, ring], at least one step and a finite velocity are "
            f"needed: shape {field.shape}, {num_steps} steps, velocity {velocity}"
        )
    out = []
    for step in range(num_steps):
        whole = math.floor(velocity * step)
        weight = velocity * step - whole
        moved = xp.roll(field, whole, axis=-1)
        if weight:
            moved = (1 - weight) * moved + weight * xp.roll(moved, 1, axis=-1)
        out.append(moved)
    return xp.stack(out, axis=-3)


def slope(degrees: np.ndarray) -> float:
    """Least-squares slope of angles over steps, after unwrapping.

    Args:
      degrees: ``[T]``, T >= 2, modulo 360.

    Returns:
      Degrees per step, in [-180, 180].

    Raises:
      UserError: not ``[T]``.
    """
    degrees = np.asarray(degrees, np.float64)
    if degrees.ndim != 1 or len(degrees) < 2:
        raise UserError(f"angles must be [T], T >= 2, and have shape {degrees.shape}")
    unwrapped = np.unwrap(degrees, period=360.0)
    return float(np.polyfit(np.arange(len(degrees)), unwrapped, 1)[0])

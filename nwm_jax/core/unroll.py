"""A recurrence over time: one scan, with as little in it as the recurrence allows."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nwm_jax.errors import UserError

State = Any


def unroll(
    step: Callable[[State, Any], State],
    state: State,
    drives: Any,
    *,
    remat: int = 0,
) -> tuple[State, State]:
    """Applies ``state_{t+1} = step(state_t, drive_t)`` along the time axis.

    Args:
      step: one time step, ``(state, drive) -> state``.
      state: the state before the first step, a pytree of ``[B, ...]``.
      drives: a pytree of ``[B, T, ...]``.
      remat: 0 keeps everything that the gradient needs. A number r recomputes the
        inside of blocks of r steps in the backward pass, so that memory is that of
        T / r states and one block: it is least, and grows as sqrt(T), at r = sqrt(T),
        which -1 stands for.

    Returns:
      The last state, and all states after each step as ``[B, T, ...]``.

    Raises:
      UserError: a `remat` below -1.
    """

    def scan_step(state: State, drive: Any) -> tuple[State, State]:
        state = step(state, drive)
        return state, state

    def scan(state: State, drives: Any) -> tuple[State, State]:
        return jax.lax.scan(scan_step, state, drives)

    return unroll_scan(scan, state, drives, remat=remat)


def unroll_scan(
    scan: Callable[[State, Any], tuple[State, State]],
    state: State,
    drives: Any,
    *,
    remat: int = 0,
) -> tuple[State, State]:
    """As `unroll`, by a function that takes many steps.

    Args:
      scan: ``(state, drives [t, B, ...]) -> last state, states [t, B, ...]`` for any
        number t of steps.
      state: the state before the first step, a pytree of ``[B, ...]``.
      drives: a pytree of ``[B, T, ...]``.
      remat: as in `unroll`.

    Returns:
      The last state, and all states after each step as ``[B, T, ...]``.

    Raises:
      UserError: a `remat` below -1.
    """
    if remat < -1:
        raise UserError(
            f"remat must be 0 (off), a number of steps or -1 (their root), got {remat}"
        )

    time_first = jax.tree.map(lambda d: jnp.moveaxis(d, 1, 0), drives)
    steps = jax.tree.leaves(time_first)[0].shape[0]
    if remat == -1:
        remat = math.isqrt(steps)
    blocks, rest = divmod(steps, remat) if remat else (0, steps)
    parts = []
    if blocks:
        head = jax.tree.map(
            lambda d: d[: blocks * remat].reshape(blocks, remat, *d.shape[1:]),
            time_first,
        )
        # Inside a scan nothing can be merged with the forward pass: XLA's guard
        # against that would only cost time.
        block = jax.checkpoint(scan, prevent_cse=False)
        state, states = jax.lax.scan(block, state, head)
        parts.append(jax.tree.map(lambda s: s.reshape(-1, *s.shape[2:]), states))
    if rest or not blocks:
        tail = jax.tree.map(lambda d: d[blocks * remat :], time_first)
        state, states = scan(state, tail)
        parts.append(states)
    joined = jax.tree.map(lambda *s: jnp.concatenate(s), *parts)
    return state, jax.tree.map(lambda s: jnp.moveaxis(s, 0, 1), joined)

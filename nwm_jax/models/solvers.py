"""Roll-outs of a differential equation into the past and the future of a state.

With the fixed steps of `core.integrators`, or with the adaptive Dormand-Prince method
of diffrax ("dopri5"), as the benchmark's neural ODE uses it (arXiv:2111.05458).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nwm_jax.core import integrators
from nwm_jax.errors import UserError

State = Any

ADAPTIVE = "dopri5"
# Relative and absolute, of the root mean square over the whole batch.
TOLERANCE = 1e-6
MAX_STEPS_PER_OUTPUT = 50


def check(integrator: str, separable: bool) -> None:
    """Refuses an integrator that there is not, or that the system cannot use.

    Args:
      integrator: "dopri5" or a name of `core.integrators`.
      separable: whether the system is a separable Hamiltonian one, as the symplectic
        methods need.

    Raises:
      UserError: one of the two, with what there is.
    """
    known = [ADAPTIVE, *integrators.GENERAL, *separable * list(integrators.SYMPLECTIC)]
    if integrator not in known:
        raise UserError(
            f"integrator {integrator!r} does not fit this model; "
            f"choose one of {', '.join(known)}"
        )


def solve(
    field: Any,
    integrator: str,
    y0: State,
    dt: jax.Array | float,
    num_back: int,
    num_forward: int,
    *,
    include_start: bool = True,
    remat: int = 0,
) -> State:
    """The states around y0, one every dt, in order of time.

    Args:
      field: ``field(y) = dy/dt``; for a symplectic method the pair (velocity, force),
        see `core.integrators`.
      integrator: "dopri5" or a name of `core.integrators`.
      y0: the state at time 0, a pytree of ``[B, ...]``.
      dt: time between two outputs, a number or ``[B]``; the sign says which way is
        forward. A fixed-step method makes one step for each output.
      num_back: outputs before time 0, >= 0.
      num_forward: outputs after time 0, >= 0.
      include_start: whether y0 itself stands between them.
      remat: block length of rematerialisation, see `core.unroll`; 0 = off. "dopri5"
        has its own checkpoints, whose memory grows with the root of the steps.

    Returns:
      A pytree of ``[B, num_back + include_start + num_forward, ...]``.
    """
    if integrator == ADAPTIVE:
        parts = [integrate_adaptively(field, y0, dt, num_forward)]
        if include_start:
            parts.insert(0, jax.tree.map(lambda y: y[:, None], y0))
        if num_back:
            past = integrate_adaptively(field, y0, jnp.negative(dt), num_back)
            parts.insert(0, jax.tree.map(lambda y: y[:, ::-1], past))
        return jax.tree.map(lambda *y: jnp.concatenate(y, axis=1), *parts)
    step = functools.partial(integrators.get(integrator), field)
    return integrators.integrate_both_ways(
        step, y0, dt, num_back, num_forward, include_start, remat=remat
    )


def integrate_adaptively(
    field: Callable[[State], State],
    y0: State,
    dt: jax.Array | float,
    num_steps: int,
) -> State:
    """Dormand & Prince's method of order 5(4) with relative and absolute error 1e-6.

    The batch is one system with one step size, so that an example's result depends on
    the others within the tolerance. It solves ``dy/ds = dt field(y)`` in the time s
    counted in outputs; dt may hence differ, in sign and size, between examples. The
    gradient is that of the steps that were made, with their sizes held fixed.

    Args:
      field: ``field(y) = dy/dt``.
      y0: a pytree of ``[B, ...]``.
      dt: time between outputs, a number or ``[B]``.
      num_steps: number of outputs, >= 0.

    Returns:
      The states after dt, 2 dt, ...: a pytree of ``[B, num_steps, ...]``; infinite from
      where more than 50 steps an output would be needed.
    """
    # Takes half a second, and most models do without.
    import diffrax

    if num_steps == 0:
        return jax.tree.map(lambda y: jnp.zeros_like(y)[:, None][:, :0], y0)

    def scaled(s: Any, y: State, _: Any) -> State:
        def scale(slope: jax.Array) -> jax.Array:
            step = jnp.asarray(dt, slope.dtype)
            return step.reshape(step.shape + (1,) * (slope.ndim - step.ndim)) * slope

        return jax.tree.map(scale, field(y))

    kind = jnp.result_type(*jax.tree.leaves(y0))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(scaled),
        diffrax.Dopri5(),
        t0=0.0,
        t1=float(num_steps),
        dt0=None,
        y0=y0,
        saveat=diffrax.SaveAt(ts=jnp.arange(1.0, num_steps + 1.0, dtype=kind)),
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        max_steps=MAX_STEPS_PER_OUTPUT * num_steps,
        # What does not converge is infinite, which the training loop reports.
        throw=False,
    )
    return jax.tree.map(lambda y: jnp.moveaxis(y, 0, 1), solution.ys)

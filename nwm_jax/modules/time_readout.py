"""A readout that runs a recurrence and gathers what its time series says of every cell."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import init, readouts
from nwm_jax.core.layouts import Layout


class TimeReadout(nnx.Module):
    """A readout of any recurrent sheet's time series, see `core.readouts`.

    Args:
      name: one of `core.readouts.READOUTS`.
      num_steps: T, length of the series.
      param_dtype: type of V.
      rngs: draws V of "linear", uniform in ±1/sqrt(T).
    """

    def __init__(
        self,
        name: str,
        num_steps: int,
        *,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        self.name = name
        self.num_steps = num_steps
        if name == "linear":
            shape = readouts.num_bins(num_steps), num_steps
            drawn = init.uniform(rngs.params(), shape, num_steps, param_dtype)
            self.basis = nnx.Param(drawn)

    def gather(
        self,
        step: Callable[[Any], Any],
        read: Callable[[Any], jax.Array],
        layout: Layout,
        state: Any,
        *,
        remat: int = 0,
    ) -> jax.Array:
        """Runs a recurrence for T steps and returns the features of every cell.

        Args:
          step: one time step of a state.
          read: the field of a state of which the series is read.
          layout: of the fields.
          state: the state before the first step.
          remat: r > 0: the series is never kept: r steps at a time are added to the
            features and, for the gradient, run once more. 0: all of it is kept.

        Returns:
          The features as a field in `layout`.
        """
        name, num_steps = self.name, self.num_steps
        basis = self.basis[...] if name == "linear" else None

        def stretch(carry: Any, begin: Any, length: int) -> Any:
            def one(state: Any, _: None) -> tuple[Any, jax.Array]:
                state = step(state)
                return state, read(state)

            state, gathered = carry
            state, series = jax.lax.scan(one, state, None, length=length)
            return state, readouts.add(name, num_steps, gathered, series, begin, basis)

        carry = state, readouts.start(name, num_steps, read(state), basis)
        blocks, rest = divmod(num_steps, remat) if remat else (0, num_steps)
        if blocks:
            block = jax.checkpoint(
                lambda carry, begin: (stretch(carry, begin, remat), None),
                prevent_cse=False,
            )
            carry, _ = jax.lax.scan(block, carry, remat * jnp.arange(blocks))
        if rest:
            carry = stretch(carry, blocks * remat, rest)
        return readouts.finish(name, layout, carry[1])

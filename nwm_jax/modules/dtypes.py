"""Types of weights and of arithmetic: what `param_dtype` and `dtype` of a layer mean.

Nothing here depends on JAX's switch `jax_enable_x64`: weights are float32 unless
`param_dtype` says otherwise, and a layer computes in the type of its weights unless
`dtype` says otherwise.
"""

from typing import Any, TypeVar, overload

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Bias = TypeVar("Bias", bound=jax.Array | None)


@overload
def cast(
    dtype: DTypeLike | None, x: jax.Array, kernel: jax.Array, bias: Bias, /
) -> tuple[jax.Array, jax.Array, Bias]: ...


@overload
def cast(
    dtype: DTypeLike | None, x: jax.Array, *weights: jax.Array
) -> tuple[jax.Array, ...]: ...


def cast(dtype: DTypeLike | None, x: jax.Array, *weights: Any) -> tuple[Any, ...]:
    """Casts the input and the weights of a layer to one type.

    Args:
      dtype: of the arithmetic; None: that of the first weight, which is an array.
      x: the input.
      weights: the weights; None stays None.

    Returns:
      `(x, *weights)` of that type.
    """
    dtype = weights[0].dtype if dtype is None else dtype
    return tuple(a if a is None else jnp.asarray(a, dtype) for a in (x, *weights))

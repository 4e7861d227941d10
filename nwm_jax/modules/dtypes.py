"""Types of weights and of arithmetic: what `param_dtype` and `dtype` of a layer mean.

Nothing here depends on JAX's switch `jax_enable_x64`: weights are float32 unless
`param_dtype` says otherwise, and a layer computes in the type of its weights unless
`dtype` says otherwise.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def cast(
    dtype: DTypeLike | None, x: jax.Array, *weights: jax.Array | None
) -> tuple[jax.Array | None, ...]:
    """Casts the input and the weights of a layer to one type.

    Args:
      dtype: of the arithmetic; None: that of the first weight.
      x: the input.
      weights: the weights; None stays None.

    Returns:
      `(x, *weights)` of that type.
    """
    dtype = weights[0].dtype if dtype is None else dtype
    return tuple(a if a is None else jnp.asarray(a, dtype) for a in (x, *weights))

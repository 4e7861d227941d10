"""What several tests share: reproducible arrays, and gradients by finite differences."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def fill(shape: tuple[int, ...], phase: int, scale: float = 1.0) -> np.ndarray:
    """Numbers in ``scale [-0.5, 0.5)`` that look random and need no generator.

    In C order, entry k is ``scale (((7 k^2 + 131 k + 389 phase + 17) mod 1009) / 1009 - 0.5)``,
    computed in integers and float64 and returned as float32. The numbers that the
    original programs computed for our tests were made with weights and inputs like these.
    """
    k = np.arange(np.prod(shape, dtype=np.int64), dtype=np.int64)
    residue = (7 * k * k + 131 * k + 389 * phase + 17) % 1009
    return (scale * (residue / 1009.0 - 0.5)).reshape(shape).astype(np.float32)


def to_float64(tree: Any) -> Any:
    """The same tree in double precision; inside `jax.enable_x64`."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), tree)


def check_gradients(
    function: Callable[[Any], jax.Array],
    tree: Any,
    *,
    seed: int = 0,
    rtol: float = 1e-6,
    epsilon: float = 1e-5,
) -> None:
    """Compares the gradient of a scalar function with central differences in float64.

    One random direction for each array of the tree, and one for all of them together.
    """
    leaves, structure = jax.tree.flatten(tree)
    assert all(leaf.dtype == jnp.float64 for leaf in leaves)
    # One compilation for the gradient and for the values that differences need.
    both = jax.jit(jax.value_and_grad(function))
    gradients = jax.tree.leaves(both(tree)[1])
    rng = np.random.default_rng(seed)
    moves = [rng.standard_normal(leaf.shape) for leaf in leaves]
    chosen = [{i} for i in range(len(leaves))] + [set(range(len(leaves)))]
    for these in chosen:
        direction = [m if i in these else 0.0 * m for i, m in enumerate(moves)]
        shifted = [
            both(
                structure.unflatten(
                    [
                        a + s * epsilon * d
                        for a, d in zip(leaves, direction, strict=False)
                    ]
                )
            )[0]
            for s in (1.0, -1.0)
        ]
        expected = (shifted[0] - shifted[1]) / (2.0 * epsilon)
        result = sum(jnp.vdot(g, d) for g, d in zip(gradients, direction, strict=False))
        assert result != 0.0
        np.testing.assert_allclose(result, expected, rtol=rtol, atol=1e-9)

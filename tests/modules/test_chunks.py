"""Sums in parts: the same value and gradients as at once, with and without a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.modules.chunks import chunk_size, sum_over_chunks


def function(weights, fields, constants):
    y = jnp.tanh(fields @ weights["kernel"]) * constants[:, None]
    return (y**2).sum(), {"mean": y.mean(axis=-1)}


def test_value_and_gradients():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        weights = {"kernel": jnp.asarray(rng.standard_normal((3, 2)))}
        fields = jnp.asarray(rng.standard_normal((4, 5, 3)))
        constants = jnp.asarray(rng.integers(0, 3, (4, 5)))

        def parts(weights, fields):
            total, other = sum_over_chunks(function, weights, fields, constants)
            return jnp.sin(total), other

        def at_once(weights, fields):
            flat = fields.reshape(-1, 3), constants.reshape(-1)
            total, other = function(weights, *flat)
            return jnp.sin(total), other

        ours, theirs = (
            jax.jit(jax.value_and_grad(each, argnums=(0, 1), has_aux=True))
            for each in (parts, at_once)
        )
        (value, other), gradients = ours(weights, fields)
        (expected, whole), wanted = theirs(weights, fields)
        plain, _ = parts(weights, fields)
    assert value == pytest.approx(float(expected), abs=1e-12)
    assert plain == pytest.approx(float(expected), abs=1e-12)
    np.testing.assert_allclose(other["mean"].ravel(), whole["mean"], atol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), gradients, wanted
    )


@pytest.mark.parametrize(
    ("total", "most", "size"),
    [(64, 16, 16), (50, 16, 10), (17, 16, 17), (20, 16, 10), (3, 16, 3), (8, 1, 1)],
)
def test_chunk_size(total, most, size):
    assert chunk_size(total, most) == size

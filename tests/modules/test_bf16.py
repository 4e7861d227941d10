"""What rounding to bfloat16 inside of convolutions costs."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.models.forecasting import build
from nwm_jax.modules import conv as conv_lib
from nwm_jax.modules import functional
from tests.helpers import tiny_forecasting


def rounded(x):
    return x.astype(jnp.bfloat16).astype(x.dtype)


@pytest.mark.parametrize(
    ("shape", "stride", "padding"),
    [
        ((3, 8, 8, 4), 1, "SAME"),
        ((3, 8, 8, 4), 2, "SAME"),
        ((2, 7, 5, 3), 2, "SAME"),
        ((2, 7, 6, 3), 2, "VALID"),
    ],
)
def test_it_is_the_convolution_of_rounded_numbers(shape, stride, padding):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, shape[-1], 6)), jnp.float32)

    def at(x, kernel, g, implementation):
        def function(x, kernel):
            return conv_lib.conv(
                x, kernel, stride=stride, padding=padding, implementation=implementation
            )

        y, pull = jax.vjp(function, x, kernel)
        return y, *pull(g(y))

    got = at(x, kernel, jnp.cos, "bf16")
    # Where the cotangent is rounded too, as it is inside.
    cotangent = jnp.cos(got[0])
    wanted = at(rounded(x), rounded(kernel), lambda y: rounded(cotangent), "xla")
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == jnp.float32 and a.shape == b.shape
        assert np.linalg.norm(a - b) < 1e-6 * np.linalg.norm(b)


@pytest.mark.slow
def test_loss_and_gradient_of_a_forecaster():
    """The loss is right to 1e-4, the gradient to 2 % of its norm, but no better than 1e-4."""
    images = np.random.default_rng(0).uniform(size=(4, 6, 8, 8, 3)).astype(np.float32)

    def gradient(conv):
        model = tiny_forecasting.config("").model
        model = build(model, (8, 8, 3), conv=conv, remat=0, rngs=nnx.Rngs(0))
        graphdef, params, state = functional.split(model)

        @jax.jit
        def compute(params):
            def loss(params):
                model = functional.merge(graphdef, params, state)
                return model.loss(images, jax.random.key(0))[1]["mse"]

            return jax.value_and_grad(loss)(params)

        loss, gradients = compute(params)
        assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {loss.dtype}
        return loss, jax.flatten_util.ravel_pytree(gradients)[0]

    (loss, rounded_gradient), (wanted, exact) = gradient("bf16"), gradient("xla")
    assert loss.dtype == jnp.float32
    assert 0 < abs(loss / wanted - 1) < 1e-4
    error = jnp.linalg.norm(rounded_gradient - exact) / jnp.linalg.norm(exact)
    print(f"relative errors: {abs(loss / wanted - 1):.1g} and {error:.1g}")
    assert 1e-4 < error < 0.02

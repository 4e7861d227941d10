"""The multilayer perceptron: swish between its layers and nothing after them."""

import numpy as np
from flax import nnx

from nwm_jax.modules.layers import MLP, ScalarMLP
from tests.helpers.numerics import fill


def test_swish_between_and_nothing_after():
    net = MLP([2, 5, 5, 3], rngs=nnx.Rngs(0))
    assert [layer.kernel.shape for layer in net.layers] == [(2, 5), (5, 5), (5, 3)]
    want = x = fill((4, 2), 0, 4.0)
    for i, layer in enumerate(net.layers):
        want = want @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
        want = want / (1 + np.exp(-want)) if i < 2 else want
    np.testing.assert_allclose(net(x), want, atol=1e-6)


def test_a_scalar_has_no_axis():
    net = ScalarMLP([2], rngs=nnx.Rngs(0))
    x = fill((4, 3, 2), 0, 4.0)
    np.testing.assert_allclose(net(x), (x @ np.asarray(net.layers[0].kernel))[..., 0])

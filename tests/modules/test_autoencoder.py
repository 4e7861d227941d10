"""The image networks: shapes, counts, first weights, and the cheaper leaky ReLU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.modules.autoencoder import Decoder, Encoder
from nwm_jax.modules.conv_layers import leaky_relu
from nwm_jax.modules.layers import Conv, Linear
from tests.helpers.native_library import needs_native


@pytest.mark.parametrize("features", [32, 529])
def test_parameter_counts_of_the_benchmark(features):
    def build():
        rngs = nnx.Rngs(0)
        return Encoder((32, 32, 3), features, rngs=rngs)

    count = functional.count(functional.split(nnx.eval_shape(build))[1])
    o = features
    assert count == (9 * 3 * 64 + 64) + 5 * 36_928 + (9 * 64 * o + o) + (16 * o * o + o)
    assert count == {32: 221_312, 529: 4_969_650}[features]


@pytest.mark.parametrize(("d_in", "planes"), [(32, 16), (1058, 264)])
def test_parameter_counts_of_the_decoder(d_in, planes):
    def build():
        return Decoder(d_in, (32, 32, 3), planes=planes, rngs=nnx.Rngs(0))

    count = functional.count(functional.split(nnx.eval_shape(build))[1])
    assert count == {32: 205_283, 1058: 4_812_899}[d_in]


def test_any_leading_axes_and_image_sizes():
    encoder = Encoder((16, 24, 2), 5, channels=3, rngs=nnx.Rngs(0))
    decoder = Decoder(5, (16, 24, 2), planes=4, channels=3, rngs=nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(0), (2, 3, 16, 24, 2))
    codes = encoder(images)
    assert codes.shape == (2, 3, 5)
    np.testing.assert_allclose(codes[1, 2], encoder(images[1, 2]), atol=1e-6)
    means = decoder(codes)
    assert means.shape == images.shape
    assert 0 < float(means.min()) and float(means.max()) < 1


@pytest.mark.parametrize("shape", [(30, 32, 3), (32, 20, 3), (0, 8, 3)])
def test_sides_are_multiples_of_eight(shape):
    with pytest.raises(UserError, match="multiples of 8"):
        Encoder(shape, 5, rngs=nnx.Rngs(0))


def test_first_weights_are_cut_normals():
    """Standard deviation 0.8796 / sqrt(fan in), none beyond 2 / sqrt(fan in)."""
    for layer, fan_in in (
        (Linear(400, 300, rngs=nnx.Rngs(0)), 400),
        (Conv(128, 128, rngs=nnx.Rngs(0)), 9 * 128),
    ):
        scaled = np.asarray(layer.kernel[...]) * np.sqrt(fan_in)
        assert abs(scaled.std() - 0.8796) < 0.005
        assert abs(scaled).max() <= 2
        assert not np.any(layer.bias[...])


def test_leaky_relu_and_its_gradient_are_the_usual_ones():
    x = jnp.array([-2.0, -1e-8, 0.0, 1e-8, 3.0])
    np.testing.assert_array_equal(leaky_relu(x, 0.01), jax.nn.leaky_relu(x, 0.01))
    ours = jax.grad(lambda x: jnp.sum(leaky_relu(x, 0.01) ** 2))(x)
    usual = jax.grad(lambda x: jnp.sum(jax.nn.leaky_relu(x, 0.01) ** 2))(x)
    np.testing.assert_allclose(ours, usual, rtol=1e-6)


def test_upsampling_repeats_pixels_before_the_convolution():
    layer = Conv(2, 3, upsample=True, rngs=nnx.Rngs(0))
    plain = Conv(2, 3, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 2))
    large = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(layer(x), plain(large), atol=1e-5)


@needs_native
def test_compiled_convolutions_give_the_same_gradients_in_half_the_memory():
    def gradient(conv):
        decoder = Decoder(
            3, (32, 32, 2), planes=2, channels=32, conv=conv, rngs=nnx.Rngs(0)
        )
        graphdef, params, _ = functional.split(decoder)
        params = jax.tree.map(lambda leaf: leaf.astype(float), params)

        def loss(params, codes):
            means = functional.merge(graphdef, params, {})(codes)
            return jnp.sum(jnp.sin(5 * means))

        codes = jax.random.normal(jax.random.key(1), (21, 3))
        compiled = jax.jit(jax.value_and_grad(loss)).lower(params, codes).compile()
        return compiled(params, codes), compiled.memory_analysis().temp_size_in_bytes

    # In single precision a value that rounds to the other side of zero has another slope.
    with jax.enable_x64(True):
        result, memory = gradient("fast")
        expected, plain_memory = gradient("xla")
    for one, other in zip(
        jax.tree.leaves(result), jax.tree.leaves(expected), strict=False
    ):
        assert one.dtype == float
        assert np.linalg.norm(one - other) <= 1e-12 * np.linalg.norm(other)
    assert memory < 0.5 * plain_memory

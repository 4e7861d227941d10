"""Stacks of convolutions made for CPUs, and what is mapped over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import errors
from nwm_jax.modules import conv, conv_layers, fast_conv
from tests.helpers.native_library import each_instruction_set, needs_native

SIZES = ((6, 5), (3, 3), (6, 6), (6, 6))  # before, between and after the layers
SLOPES = 0.1, 0.2, 1.0


def example(dtype):
    """Images, weights and layers: a stride, an upsampling, many and few channels."""
    rng = np.random.default_rng(3)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), dtype)

    x = draw(7, *SIZES[0], 2) * 20
    kernels = draw(3, 3, 2, 20), draw(3, 3, 20, 17), draw(3, 3, 17, 3)
    return x, [(kernel, draw(kernel.shape[3])) for kernel in kernels]


def stacked(x, weights):
    (first, b1), (second, b2), (third, b3) = weights
    layers = [conv_layers.correlation(SIZES[0], (3, 3), 2, "SAME", SLOPES[0])]
    layer, second = conv_layers.upsampling(SIZES[1], second, SLOPES[1])
    layers += [layer, conv_layers.correlation(SIZES[2], (3, 3), 1, "SAME", SLOPES[2])]
    weights = [(first, b1), (second, b2), (third, b3)]
    return fast_conv.stack(x, weights, tuple(layers))


def plain(x, weights):
    (first, b1), (second, b2), (third, b3) = weights
    like = {"implementation": "xla"}
    x = conv.conv(x, first, b1, stride=2, slope=SLOPES[0], **like)
    x = conv.upsample_conv(x, second, b2, slope=SLOPES[1], **like)
    return conv.conv(x, third, b3, **like)


def assert_all_close(got, wanted, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b), a.shape


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-12), (False, 2e-6)])
def test_a_stack_is_its_layers_one_after_the_other(x64, tolerance):
    with jax.enable_x64(x64):
        x, weights = example(float if x64 else np.float32)

        @jax.jit
        def both(x, weights):
            return [
                jax.value_and_grad(lambda *a, f=f: jnp.sum(jnp.sin(f(*a))), (0, 1))(
                    x, weights
                )
                for f in (stacked, plain)
            ]

        assert stacked(x, weights).shape == (7, *SIZES[3], 3)
        for _ in each_instruction_set():
            assert_all_close(*jax.block_until_ready(both(x, weights)), tolerance)


def test_second_derivatives_of_a_stack():
    with jax.enable_x64(True):
        x, weights = example(float)

        def slopes(function, x, weights):
            loss = lambda *a: jnp.sum(jnp.sin(function(*a)))
            slope = jax.grad(loss, (0, 1))(x, weights)
            return sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(slope))

        @jax.jit
        def both(x, weights):
            return [
                jax.grad(lambda *a, f=f: slopes(f, *a), (0, 1))(x, weights)
                for f in (stacked, plain)
            ]

        assert_all_close(*both(x, weights), 1e-10)


def test_what_is_still_needed_is_not_overwritten():
    """Gradients take the place of images, but not of those that are read again."""
    x, weights = example(np.float32)
    y, pull = jax.vjp(stacked, x, weights)
    once, again = pull(jnp.ones_like(y)), pull(jnp.ones_like(y))
    assert_all_close(again, once, 0)
    assert_all_close(stacked(x, weights), y, 0)

    @jax.jit
    def twice(x, weights):
        y, pull = jax.vjp(stacked, x, weights)
        return pull(jnp.ones_like(y)), pull(2 * jnp.ones_like(y))

    one, two = twice(x, weights)
    assert_all_close(jax.tree.map(lambda a: 2 * a, one), two, 1e-6)
    assert_all_close(one, once, 1e-6)


def test_the_same_bits_every_time():
    """However the threads share the work out, sums keep their order."""
    x, weights = example(np.float32)
    x = jnp.tile(x, (20, 1, 1, 1))
    gradient = jax.jit(jax.grad(lambda *a: jnp.sum(jnp.sin(stacked(*a))), (0, 1)))
    first = gradient(x, weights)
    for _ in range(5):
        assert_all_close(gradient(x, weights), first, 0)


def test_examples_mapped_over():
    x, weights = example(np.float32)
    parts = x[:6].reshape(2, 3, *x.shape[1:])
    y = jax.vmap(lambda part: stacked(part, weights))(parts)
    assert_all_close(y.reshape(6, *y.shape[2:]), stacked(x[:6], weights), 1e-6)


@pytest.mark.parametrize("shape", [(0, 4, 4, 2), (3, 2, 4, 2)], ids=str)
@pytest.mark.parametrize("outputs", [2, 20])
def test_no_images_or_no_pixels(shape, outputs):
    x, kernel = jnp.ones(shape), jnp.ones((3, 3, 2, outputs))

    def loss(x, kernel):
        return jnp.sum(conv.conv(x, kernel, padding="VALID"))

    value, slopes = jax.value_and_grad(loss, (0, 1))(x, kernel)
    assert value == 0
    assert_all_close(slopes, (jnp.zeros_like(x), jnp.zeros_like(kernel)), 0)
    if not shape[0]:
        up = jax.grad(lambda x, k: jnp.sum(conv.upsample_conv(x, k)), 1)(x, kernel)
        assert_all_close(up, jnp.zeros_like(kernel), 0)


def test_other_types_are_not_compiled():
    x, kernel = jnp.ones((1, 4, 4, 1), jnp.float16), jnp.ones((3, 3, 1, 1), jnp.float16)
    assert conv.conv(x, kernel).dtype == jnp.float16
    assert conv.conv(x, kernel)[0, 1, 1, 0] == 9


@needs_native
def test_an_image_mapped_over_is_one_more_of_one_call():
    x, weights = example(np.float32)
    parts = x[:6].reshape(3, 2, *x.shape[1:])
    mapped = jax.vmap(stacked, (0, None))
    text = jax.jit(mapped).lower(parts, weights).as_text()
    assert "stablehlo.while" not in text and text.count("@nwm_") == 3


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=str)
def test_gradients_mapped_over(axes):
    """Of each example, and of an ensemble."""
    x, weights = example(np.float32)
    many = x[:6].reshape(3, 2, *x.shape[1:]) if axes[0] == 0 else x
    scaled = [1.0, 0.5, 2.0]
    sets = [jax.tree.map(lambda a, s=s: a * s, weights) for s in scaled]
    stacks = jax.tree.map(lambda *a: jnp.stack(a), *sets) if axes[1] == 0 else weights
    gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(stacked(*a))), (0, 1))
    got = jax.jit(jax.vmap(gradient, axes))(many, stacks)
    for i in range(3):
        one = gradient(
            many[i] if axes[0] == 0 else x, sets[i] if axes[1] == 0 else weights
        )
        assert_all_close(jax.tree.map(lambda a, i=i: a[i], got), one, 1e-5)


@pytest.mark.parametrize("implementation", ["auto", "xla", "bf16"])
@pytest.mark.parametrize(
    ("images", "kernel", "bias"),
    [
        ((2, 32, 32, 1), (3, 3, 64, 4), None),
        ((2, 8, 8, 5), (3, 3, 3, 4), None),
        ((8, 8, 3), (3, 3, 3, 4), None),
        ((2, 8, 8, 3), (3, 3, 4), None),
        ((2, 8, 8, 3), (3, 3, 3, 4), (1,)),
        ((2, 8, 8, 3), (3, 3, 3, 4), (3,)),
    ],
)
def test_sizes_that_do_not_fit_are_refused_alike(images, kernel, bias, implementation):
    arrays = (
        jnp.ones(images),
        jnp.ones(kernel),
        None if bias is None else jnp.ones(bias),
    )
    for call in (conv.conv, conv.upsample_conv):
        with pytest.raises(TypeError, match="conv needs"):
            call(*arrays, implementation=implementation)


def test_types_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"same floating-point type.*float32.*bfloat16"):
        conv.conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1), jnp.bfloat16))
    with pytest.raises(errors.UserError, match="stride=0"):
        conv.conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), stride=0)
    with pytest.raises(errors.UserError, match="slope=2"):
        conv.conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), slope=2)

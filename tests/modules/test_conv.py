"""The fast convolution against XLA's own, and against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import errors
from nwm_jax.modules import conv as conv_lib
from nwm_jax.training import mesh
from tests.helpers.native_library import each_instruction_set

# N, H, W, C, kh, kw, O, stride, padding
SHAPES = [
    (9, 32, 32, 3, 3, 3, 8, 2, "SAME"),  # the encoder's first
    (5, 8, 8, 64, 3, 3, 64, 2, "SAME"),
    (13, 4, 4, 66, 3, 3, 64, 1, "SAME"),
    (7, 32, 32, 64, 3, 3, 64, 1, "SAME"),
    (10, 32, 32, 64, 3, 3, 3, 1, "SAME"),  # the decoder's last
    (2, 6, 4, 12, 2, 3, 1, 1, "VALID"),  # few outputs
    (3, 9, 7, 2, 2, 2, 3, 3, "VALID"),
    (1, 32, 32, 8, 3, 3, 8, 1, "SAME"),
    (3, 7, 5, 4, 3, 3, 6, 1, "SAME"),
    (7, 7, 5, 4, 3, 3, 6, 2, "SAME"),
    (4, 6, 7, 2, 1, 1, 3, 1, "SAME"),
    (4, 6, 7, 2, 5, 2, 3, 1, "SAME"),
    (5, 9, 8, 2, 3, 3, 3, 1, "VALID"),
    (2, 7, 5, 20, 3, 3, 70, 1, "SAME"),  # more channels than are taken at once
    (31, 2, 1, 17, 3, 3, 16, 1, "SAME"),
    (2, 6, 6, 33, 3, 3, 18, 1, "VALID"),
    (1, 5, 6, 130, 1, 1, 66, 1, "SAME"),
    (2, 9, 8, 40, 5, 2, 3, 1, "VALID"),
    (3, 8, 7, 70, 3, 3, 5, 2, "SAME"),
]
UPSAMPLED = [
    (13, 4, 4, 66, 64),
    (6, 16, 16, 16, 8),
    (9, 8, 8, 64, 64),
    (1, 8, 8, 8, 8),
    (3, 5, 3, 4, 6),
    (2, 1, 1, 16, 17),
    (3, 2, 5, 70, 20),
    (5, 9, 1, 17, 70),
]


def reference(x, kernel, stride=1, padding="SAME"):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,) * 2, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def reference_upsample(x, kernel):
    return reference(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel)


def arrays(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=s), jnp.result_type(float)) for s in shapes]


def values_and_gradients(functions, x, kernel):
    """[y, dx, dkernel] of each function, for a cotangent of noise; one compilation.

    With every instruction set that there is.
    """

    @jax.jit
    def run(x, kernel):
        pairs = [jax.vjp(function, x, kernel) for function in functions]
        cotangent = arrays(7, pairs[0][0].shape)[0]
        return [[y, *pull(cotangent)] for y, pull in pairs]

    return [jax.block_until_ready(run(x, kernel)) for _ in each_instruction_set()]


def assert_close(got, wanted, tolerance):
    for a, b in zip(got, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        norm = np.linalg.norm(b)
        assert np.linalg.norm(a - b) <= tolerance * norm, (a.shape, norm)


# float64 shows that the mathematics is right, float32 what rounding costs at real sizes.
CASES = [(s, True) for s in SHAPES] + [(s, False) for s in SHAPES[:5]]
UPSAMPLED_CASES = [(s, True) for s in UPSAMPLED] + [(s, False) for s in UPSAMPLED[:3]]


@pytest.mark.parametrize(("shape", "x64"), CASES, ids=str)
def test_equals_xla(shape, x64):
    n, h, w, c, kh, kw, o, stride, padding = shape
    with jax.enable_x64(x64):
        x, kernel = arrays(0, (n, h, w, c), (kh, kw, c, o))
        functions = [
            lambda x, k, f=f: f(x, k, stride=stride, padding=padding)
            for f in (conv_lib.conv, reference)
        ]
        for got, wanted in values_and_gradients(functions, x, kernel):
            assert_close(got, wanted, 1e-10 if x64 else 1e-5)


@pytest.mark.parametrize(("shape", "x64"), UPSAMPLED_CASES, ids=str)
def test_upsample_conv_equals_repeat_and_conv(shape, x64):
    n, h, w, c, o = shape
    with jax.enable_x64(x64):
        x, kernel = arrays(1, (n, h, w, c), (3, 3, c, o))
        functions = conv_lib.upsample_conv, reference_upsample
        for got, wanted in values_and_gradients(functions, x, kernel):
            assert_close(got, wanted, 1e-10 if x64 else 1e-5)


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("channels", [8, 64])  # directly, by Winograd's transform
def test_single_precision_against_double(channels, upsample):
    """Value and gradients of the largest layers are off by less than 1e-6 of the norm."""
    size = 16 if upsample else 32
    shapes = (2, size, size, channels), (3, 3, channels, channels)
    function = conv_lib.upsample_conv if upsample else conv_lib.conv
    plain = reference_upsample if upsample else reference
    with jax.enable_x64(True):
        x, kernel = arrays(8, *shapes)
        (wanted,) = values_and_gradients([plain], x, kernel)[0]
    arrays32 = x.astype(np.float32), kernel.astype(np.float32)
    for (got,) in values_and_gradients([function], *arrays32):
        for a, b in zip(got, wanted, strict=True):
            assert a.dtype == np.float32 and b.dtype == np.float64
            a, b = np.asarray(a, float), np.asarray(b)
            assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b), a.shape


@pytest.mark.parametrize(
    "function",
    [
        conv_lib.conv,
        lambda x, k: conv_lib.conv(x, k, stride=2),
        conv_lib.upsample_conv,
    ],
)
def test_gradients_equal_finite_differences(function):
    with jax.enable_x64(True):
        x, kernel, dx, dkernel = arrays(
            2, (5, 4, 6, 3), (3, 3, 3, 2), (5, 4, 6, 3), (3, 3, 3, 2)
        )

        @jax.jit
        def loss(x, kernel):
            return jnp.sum(jnp.sin(function(x, kernel)))

        gx, gk = jax.jit(jax.grad(loss, (0, 1)))(x, kernel)
        above = loss(x + 1e-5 * dx, kernel + 1e-5 * dkernel)
        slope = (above - loss(x - 1e-5 * dx, kernel - 1e-5 * dkernel)) / 2e-5
        assert abs(jnp.vdot(gx, dx) + jnp.vdot(gk, dkernel) - slope) < 1e-6


def test_inside_scan_and_checkpoint():
    x, kernel, up = arrays(3, (5, 4, 4, 6), (3, 3, 6, 6), (3, 3, 6, 2))

    def loss(x, kernel, up, implementation):
        @jax.checkpoint
        def step(x, _):
            return jnp.tanh(conv_lib.conv(x, kernel, implementation=implementation)), 0

        x, _ = jax.lax.scan(step, x, None, length=3)
        return jnp.sum(
            conv_lib.upsample_conv(x, up, implementation=implementation) ** 2
        )

    grad = jax.jit(jax.grad(loss, (0, 1, 2)), static_argnums=3)
    assert_close(grad(x, kernel, up, "auto"), grad(x, kernel, up, "xla"), 1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, k: conv_lib.conv(x, k, implementation="winograd"),
        lambda x, k: conv_lib.upsample_conv(x, k, implementation="winograd"),
    ],
)
def test_unknown_implementation_is_named(call):
    with pytest.raises(errors.UserError, match=r"winograd.*auto, xla, fast, bf16"):
        call(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)))


def test_second_derivatives_in_reverse_mode():
    def loss(x, kernel, up, implementation):
        y = jnp.tanh(conv_lib.conv(x, kernel, implementation=implementation))
        return jnp.sum(
            conv_lib.upsample_conv(y, up, implementation=implementation) ** 3
        )

    def second(x, kernel, up, implementation):
        slope = jax.grad(loss, 1)(x, kernel, up, implementation)
        return jnp.sum(jnp.sin(slope))

    with jax.enable_x64(True):
        args = arrays(5, (3, 4, 4, 2), (3, 3, 2, 2), (3, 3, 2, 2))
        grad = jax.jit(jax.grad(second, (0, 1, 2)), static_argnums=3)
        assert_close(grad(*args, "auto"), grad(*args, "xla"), 1e-9)


def test_upsample_conv_needs_3x3():
    with pytest.raises(errors.UserError, match="5x3"):
        conv_lib.upsample_conv(jnp.ones((1, 4, 4, 1)), jnp.ones((5, 3, 1, 1)))


def test_unknown_padding_is_named():
    with pytest.raises(errors.UserError, match="same"):
        conv_lib.conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), padding="same")


@pytest.mark.parametrize("images", [8, 6])  # 6: not to be dealt out to 4 devices
def test_every_device_works_on_its_own_images(images):
    assert jax.device_count() == 4
    devices = mesh.make_mesh()
    x, kernel, up = arrays(6, (images, 8, 8, 4), (3, 3, 4, 4), (3, 3, 4, 2))

    def loss(x, kernel, up, implementation):
        y = jnp.tanh(conv_lib.conv(x, kernel, implementation=implementation))
        return jnp.sum(
            conv_lib.upsample_conv(y, up, implementation=implementation) ** 2
        )

    grad = jax.jit(jax.value_and_grad(loss, (0, 1, 2)), static_argnums=3)
    wanted = grad(x, kernel, up, "xla")
    if images == 8:
        x = mesh.shard_batch(x, devices)
    with jax.set_mesh(devices):
        program = grad.lower(x, kernel, up, "auto").compile()
    assert_close(*map(jax.tree.leaves, (program(x, kernel, up), wanted)), 1e-5)
    # Only the sums over images cross the devices.
    text = program.as_text()
    assert "all-gather" not in text and ("all-reduce" in text) == (images == 8)

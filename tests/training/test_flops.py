"""Operations counted by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from nwm_jax.training import flops

A, B = jnp.ones((3, 4)), jnp.ones((4, 5))


def conv(x, kernel, stride=1, padding="SAME", groups=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize(
    ("function", "arguments", "wanted"),
    [
        (jnp.matmul, (A, B), 2 * 3 * 4 * 5),
        (lambda a, b: jnp.tanh(a @ b) + 1, (A, B), 2 * 3 * 4 * 5 + 2 * 15),
        (lambda a: jnp.sum(a * a), (A,), 12 + 12),
        (lambda a: a.T.reshape(2, 6)[1], (A,), 0),
        (jax.jit(jax.checkpoint(jnp.tanh)), (A,), 12),
        # A loop counts as often as it runs, a branch as the dearer one.
        (lambda a: lax.scan(lambda c, _: (c * a, None), a, None, 7)[0], (A,), 7 * 12),
        (lambda a: lax.cond(a[0, 0] > 0, jnp.tanh, lambda a: a, a), (A,), 12 + 2),
        # 6 of 3x3 places have all 2x2 pixels: none is padded in a VALID convolution.
        (
            lambda x, k: conv(x, k, padding="VALID"),
            (jnp.ones((2, 4, 3, 5)), jnp.ones((2, 2, 5, 7))),
            2 * 2 * (3 * 2) * (2 * 2) * 5 * 7,
        ),
        # 3x3 on 4x4 pixels: 10 pairs of a row and a kernel's row meet, not 12.
        (
            conv,
            (jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))),
            2 * 10 * 10,
        ),
        (
            lambda x, k: conv(x, k, groups=3),
            (jnp.ones((1, 4, 4, 6)), jnp.ones((3, 3, 2, 3))),
            2 * 10 * 10 * 2 * 3,
        ),
    ],
)
def test_by_hand(function, arguments, wanted):
    assert flops.count(function, *arguments) == pytest.approx(wanted, abs=3)


@pytest.mark.parametrize("stride", [1, 2])
def test_both_gradients_of_a_convolution_cost_what_it_costs(stride):
    x, kernel = jnp.ones((2, 9, 8, 4)), jnp.ones((3, 3, 4, 6))
    once = flops.count(lambda x, k: conv(x, k, stride), x, kernel)
    _, pull = jax.vjp(lambda x, k: conv(x, k, stride), x, kernel)
    y = conv(x, kernel, stride)
    assert flops.count(pull, y) == 2 * once


def test_xla_counts_the_same_where_there_is_no_loop():
    x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 6))
    counted = jax.jit(conv).lower(x, kernel).cost_analysis()["flops"]
    assert flops.count(conv, x, kernel) == counted

"""Coupled fields in both layouts: a NumPy transcription, gradients, symmetry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core.coupling import laplacian
from nwm_jax.core.layouts import IMAGES, PLANES, to_planes
from tests.helpers.numerics import check_gradients

# Few channels are summed plane by plane, more go through patches.
SIZES = [(2, 3), (3, 8)]


def transcription(field, kernel):
    """``[N, H, W, C]``, one product at a time."""
    _, height, width, _ = field.shape
    size = len(kernel)
    out = np.zeros((*field.shape[:3], kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            for u in range(size):
                for v in range(size):
                    place = (i + u - size // 2) % height, (j + v - size // 2) % width
                    out[:, i, j] += field[:, place[0], place[1]] @ kernel[u, v]
    return out


def draw(channels, outputs):
    rng = np.random.default_rng(3)
    field = rng.standard_normal((2, 4, 5, channels))
    return field, rng.standard_normal((3, 3, channels, outputs))


def both(field, kernel):
    planes = to_planes(PLANES.couple(to_planes(field), kernel))
    return IMAGES.couple(field, kernel), planes


@pytest.mark.parametrize(("channels", "outputs"), SIZES)
def test_transcription(channels, outputs):
    field, kernel = draw(channels, outputs)
    with jax.enable_x64(True):
        for result in both(jnp.asarray(field), jnp.asarray(kernel)):
            np.testing.assert_allclose(result, transcription(field, kernel), atol=1e-12)


@pytest.mark.parametrize(("channels", "outputs"), SIZES)
def test_gradients(channels, outputs):
    field, kernel = draw(channels, outputs)
    with jax.enable_x64(True):
        tree = {"field": jnp.asarray(to_planes(field)), "kernel": jnp.asarray(kernel)}

        def function(tree):
            return jnp.sin(PLANES.couple(tree["field"], tree["kernel"])).sum()

        check_gradients(function, tree)


def test_moving_the_field_moves_the_result():
    field, kernel = draw(2, 2)
    planes = to_planes(jnp.asarray(field, jnp.float32))
    moved = jnp.roll(planes, (1, 2), axis=(1, 2))
    expected = jnp.roll(PLANES.couple(planes, kernel), (1, 2), axis=(1, 2))
    np.testing.assert_allclose(PLANES.couple(moved, kernel), expected, atol=1e-6)


def test_the_laplacian_of_a_constant_is_zero_and_channels_do_not_mix():
    kernel = laplacian(2)
    field = np.zeros((1, 4, 4, 2), np.float32)
    field[..., 0] = 3.0
    field[0, 1, 1, 1] = 1.0
    result = IMAGES.couple(jnp.asarray(field), kernel)
    np.testing.assert_array_equal(result[..., 0], 0)
    assert result[0, 1, 1, 1] == -4
    assert float(result[..., 1].sum()) == 0


@pytest.mark.parametrize("layout", (IMAGES, PLANES), ids=("images", "planes"))
def test_features_are_ordered_by_bin_then_channel(layout):
    ordered = to_planes if layout is PLANES else (lambda field: field)
    features = np.arange(3 * 1 * 2 * 2 * 2.0).reshape(3, 1, 2, 2, 2)  # K, N, H, W, C
    result = ordered(layout.gather(jnp.asarray(ordered(features))))
    assert result.shape == (1, 2, 2, 6)
    for k in range(3):
        for c in range(2):
            np.testing.assert_array_equal(result[..., 2 * k + c], features[k, ..., c])

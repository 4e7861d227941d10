"""One step of the convolutional LSTM against a NumPy transcription."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import sheet
from nwm_jax.core.layouts import IMAGES, PLANES, to_planes
from nwm_jax.core.sheet import GatedState, GatedWeights
from tests.core.test_layouts import transcription


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("layout", (IMAGES, PLANES), ids=("images", "planes"))
def test_gated_step(layout):
    rng = np.random.default_rng(1)
    u, h, c = rng.standard_normal((3, 2, 3, 4, 2))
    kernel, bias = rng.standard_normal((3, 3, 4, 8)), rng.standard_normal(8)
    first, first_bias = rng.standard_normal((2, 4)), rng.standard_normal(4)
    second, second_bias = rng.standard_normal((4, 2)), rng.standard_normal(2)

    gates = transcription(np.concatenate([u, h], axis=-1), kernel) + bias
    i, f, g, o = np.split(gates, 4, axis=-1)
    memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(memory)
    output = np.maximum(hidden @ first + first_bias, 0) @ second + second_bias

    ordered = to_planes if layout is PLANES else (lambda field: field)
    with jax.enable_x64(True):
        weights = GatedWeights(
            kernel, bias, ((first, first_bias), (second, second_bias))
        )
        state = GatedState(*(ordered(jnp.asarray(field)) for field in (u, h, c)))
        result = sheet.gated_step(layout, weights, state)
        for field, expected in zip(result, (output, hidden, memory), strict=False):
            np.testing.assert_allclose(ordered(field), expected, atol=1e-12)

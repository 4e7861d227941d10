"""Gradients of a forecaster whose batch lies on several devices."""

import jax
import numpy as np
import pytest

from nwm_jax.modules import functional
from nwm_jax.training.mesh import make_mesh, replicate, shard_batch
from nwm_jax.training.registry import build
from tests.helpers import tiny_forecasting
from tests.helpers.native_library import needs_native


@pytest.mark.slow
@needs_native
def test_fast_gradients_on_four_devices_are_those_on_one(tmp_path):
    """The convolutions' own gradients, on images that XLA shards."""
    clips = tiny_forecasting.write(tmp_path)
    task = build(tiny_forecasting.config(clips, conv="fast"))
    _, params, state = functional.split(task.init(jax.random.key(0)))
    batch = task.batch(0, slice(None))
    results = []
    for count in (1, 4):
        mesh = make_mesh(jax.devices()[:count])
        gradient = jax.jit(jax.grad(task.loss, has_aux=True))
        results.append(
            gradient(replicate(params, mesh), state, shard_batch(batch, mesh), None)[0]
        )
    assert np.linalg.norm(results[0]["encoder"]["convs"][1]["kernel"]) > 0
    jax.tree.map(
        lambda one, four: np.testing.assert_allclose(one, four, rtol=1e-4, atol=1e-7),
        *results,
    )

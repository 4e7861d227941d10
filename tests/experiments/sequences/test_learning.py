"""What the waves are good for: recalling what an identity RNN forgets."""

import jax
import numpy as np
import pytest

from nwm_jax.config import presets
from nwm_jax.training import evaluating, loop, registry
from nwm_jax.training.mesh import make_mesh


@pytest.mark.slow
def test_the_wave_rnn_recalls_and_the_identity_rnn_does_not(tmp_path):
    """Ten symbols over twenty steps, 200 updates each."""
    result = {}
    for name in ("copy_wrnn", "copy_irnn"):
        config = presets.load(
            f"{name}:T=20,layout=code,num_steps=200,eval.every=0,eval.num_examples=100,"
            "eval.batch_size=100"
        )
        task = registry.build(config)
        devices = jax.devices()[:1]
        state = loop.train(config, task, tmp_path / name, devices=devices).state
        result[name] = evaluating.run_eval(
            task, state.params, state.state, make_mesh(devices), 100
        )
    assert result["copy_wrnn"]["recall_cross_entropy"] < 0.1 * np.log(8)
    assert result["copy_wrnn"]["recall_accuracy"] > 0.95
    # No better than who knows when, but not what.
    irnn = result["copy_irnn"]
    assert irnn["cross_entropy"] > 0.9 * irnn["memoryless_cross_entropy"]
    assert irnn["recall_accuracy"] < 0.3

"""Optimizers and schedules: numbers by hand, mistakes by name."""

import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import optimizer
from tests.helpers import toy_task


def settings(**changes):
    config = toy_task.get_config().optimizer
    config.update(
        {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0, "clip": 0.0}
    )
    config.update(changes)
    return config


def rates(num_steps, **changes):
    schedule = optimizer.learning_rate(settings(**changes), num_steps)
    return np.array([schedule(step) for step in range(num_steps)])


def update(gradient, params=(0.0,), **changes):
    transform = optimizer.build(settings(**changes), 10)
    params = jnp.array(params)
    updates, _ = transform.update(jnp.array(gradient), transform.init(params), params)
    return np.asarray(updates)


def test_constant_with_and_without_warmup():
    np.testing.assert_allclose(rates(3), 0.1)
    np.testing.assert_allclose(
        rates(6, warmup_steps=4), [0.025, 0.05, 0.075, 0.1, 0.1, 0.1], rtol=1e-6
    )


def test_cosine_falls_to_zero_from_the_end_of_the_warmup():
    result = rates(12, schedule="cosine", warmup_steps=2)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(10) / 10))
    np.testing.assert_allclose(result[:2], [0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(result[2:], expected, rtol=1e-5)
    schedule = optimizer.learning_rate(settings(schedule="cosine"), 12)
    assert float(schedule(12)) == float(schedule(99)) == 0.0


def test_first_updates():
    np.testing.assert_allclose(update([3.0], name="sgd"), [-0.3], rtol=1e-6)
    # Adam's first step is the learning rate, against the gradient's sign.
    np.testing.assert_allclose(update([3.0], name="adam"), [-0.1], rtol=1e-5)
    # RMSProp's first mean square is a tenth of the gradient's.
    np.testing.assert_allclose(
        update([3.0], name="rmsprop"), [-0.1 / np.sqrt(0.1)], rtol=1e-5
    )


def test_clip_is_of_the_global_norm():
    gradient = [3.0, 4.0]
    result = update(gradient, params=(0.0, 0.0), name="sgd", clip=1.0)
    np.testing.assert_allclose(result, [-0.06, -0.08], rtol=1e-6)
    result = update(gradient, params=(0.0, 0.0), name="sgd", clip=6.0)
    np.testing.assert_allclose(result, [-0.3, -0.4], rtol=1e-6)


def test_weight_decay():
    result = update([1.0], params=(2.0,), name="sgd", weight_decay=0.5)
    np.testing.assert_allclose(result, [-0.1 * (1 + 0.5 * 2)], rtol=1e-6)
    # Decoupled in AdamW: not divided by the gradient's size.
    result = update([100.0], params=(2.0,), name="adamw", weight_decay=0.5)
    np.testing.assert_allclose(result, [-0.1 * (1 + 0.5 * 2)], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "adaam"}, "unknown optimizer.name 'adaam'; did you mean 'adam'"),
        ({"schedule": "cosin"}, "schedule 'cosin'; did you mean 'cosine'"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be .* greater than 0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 must be"),
        ({"clip": -1.0}, "clip=-1.0 must be .* 0 or more"),
        ({"warmup_steps": -1}, "warmup_steps=-1 must be"),
        ({"schedule": "cosine", "warmup_steps": 10}, "leaves nothing of num_steps=10"),
    ],
)
def test_mistakes(change, message):
    with pytest.raises(UserError, match=message):
        optimizer.build(settings(**change), 10)

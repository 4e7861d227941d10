"""Every config builds, and its training step is what the loop needs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.config import grammar, presets
from nwm_jax.experiments.forecasting import configs, datasets
from nwm_jax.experiments.forecasting.task import Forecasting
from nwm_jax.modules import functional
from nwm_jax.training import dispatch, optimizer
from nwm_jax.training import state as states
from nwm_jax.training.mesh import make_mesh
from tests.helpers.filled_models import filled

# Of every kind of gradient one: they are not only traced, but run.
SPECIAL = ("lgn", "ode", "rgn", "hgn_conv")


class Images:
    """Stands for data of which only the shape matters."""

    image_shape, num_frames = (32, 32, 3), 256

    def decode(self, batch):
        return batch


@functools.cache
def abstract_task(model, preset):
    """The task with the abstract parameters of its model."""
    task = Forecasting(presets.load(f"pendulum_{model}:{preset}"), Images())
    return task, functional.split(task.model)[1]


def trace(model, preset):
    """Loss, gradient and update of one step, shapes alone."""
    task, _ = abstract_task(model, preset)
    config = task.config
    filled = presets.definition(config).plain.filled(config)
    assert task.train_length == filled.model.train_length()
    transform = optimizer.build(config.optimizer, config.num_steps)
    before = states.abstract(task, transform, make_mesh(jax.devices()[:1]))
    shape = (config.batch_size, task.train_length, *Images.image_shape)
    batch = {"images": jax.ShapeDtypeStruct(shape, jnp.float32)}
    after, metrics, finite = jax.eval_shape(
        dispatch.make_step(task, transform), before, batch, jax.random.key(0)
    )

    def shapes(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)

    assert shapes(after) == shapes(before)
    assert {"mse", "relative_mse", "loss", "grad_norm"} <= set(metrics)
    assert all(metric.shape == () for metric in metrics.values())
    assert finite.shape == ()


def small_task(model):
    """A task of small images and networks, with parameters, state and a batch."""
    small = {"num_observed": 3, "num_target": 4, "num_ic": 2, "conv_channels": 2}
    small |= {"grid": (3, 4), "latent": 4, "units": 4, "layers": 2}
    if model == "ode":  # one solution in place of two
        small |= {"training": "forward", "split": "overlap_by_one", "num_target": 2}
    config = presets.load(f"pendulum_{model}:smoke,conv=xla,batch_size=2")
    config.model.update({k: v for k, v in small.items() if k in config.model})
    data = Images()
    if model != "hgn_conv":  # which needs larger ones
        data.image_shape = (8, 8, 3)
    task = Forecasting(config, data)
    _, params, state = functional.split(filled(lambda: task.init(jax.random.key(0))))
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)
    shape = (config.batch_size, task.train_length, *data.image_shape)
    return task, params, state, {"images": np.random.default_rng(0).random(shape, "f4")}


@pytest.mark.slow
def test_datasets_change_nothing_of_a_model():
    """So that one dataset's steps stand for all in the tests below."""
    for dataset in datasets.DATASETS:
        for model in configs.MODELS:
            config = presets.load(f"{dataset}_{model}")
            assert config.model == presets.load(f"pendulum_{model}").model


@pytest.mark.parametrize("model", [m for m in configs.MODELS if m not in SPECIAL])
def test_the_step_is_traced(model):
    trace(model, "smoke")


@pytest.mark.slow
@pytest.mark.parametrize("preset", presets.definitions()["pendulum_ar"].presets())
@pytest.mark.parametrize("model", configs.MODELS)
def test_the_step_of_all_presets_is_traced(model, preset):
    trace(model, preset)


@pytest.mark.parametrize("preset", ["fair", "fair_laptop"])
def test_fair_is_fair(preset):
    """The same frames are seen and scored, with as many parameters within 10 %."""
    counts, frames, budgets = {}, set(), set()
    for model in configs.MODELS:
        task, params = abstract_task(model, preset)
        counts[model] = functional.count(params)
        frames.add((task.model.num_observed, task.train_length, task.windows.window))
        config = task.config
        fields = grammar.flatten(config.optimizer)
        if preset == "fair_laptop":  # each model has its own, by equal searches
            fields.pop("learning_rate")
        budgets.add((config.batch_size, config.num_steps, str(fields)))
    assert frames == {(31, 60, 120)}
    assert max(counts.values()) <= 1.1 * min(counts.values()), counts
    assert len(budgets) == 1
    if preset == "fair":
        paper = presets.load("pendulum_ar")
        assert budgets == {(32, 500_000, str(grammar.flatten(paper.optimizer)))}


@pytest.mark.slow
@pytest.mark.parametrize("model", SPECIAL)
def test_a_real_gradient(model):
    task, params, state, batch = small_task(model)
    gradient = jax.value_and_grad(task.loss, has_aux=True)
    run = jax.jit(gradient)
    (loss, (metrics, after)), grads = run(params, state, batch, jax.random.key(0))
    assert np.isfinite(loss)
    assert all(np.isfinite(value) for value in metrics.values())
    assert jax.tree.structure(after) == jax.tree.structure(state)
    leaves = jax.tree.leaves(grads)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert np.mean([np.any(leaf != 0) for leaf in leaves]) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("model", configs.MODELS)
def test_a_real_step(model):
    task, params, state, batch = small_task(model)
    transform = optimizer.build(task.config.optimizer, task.config.num_steps)
    before = states.TrainState(jnp.int32(0), params, state, transform.init(params))
    step = jax.jit(dispatch.make_step(task, transform))
    after, metrics, finite = step(before, batch, jax.random.key(0))
    assert finite
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["grad_norm"] > 0
    assert after.step == 1
    moved = [
        np.any(one != other)
        for one, other in zip(
            jax.tree.leaves(before.params), jax.tree.leaves(after.params), strict=True
        )
    ]
    assert np.mean(moved) > 0.9

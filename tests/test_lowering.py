"""Training steps lowered for accelerators, on a machine that has none.

What is compiled for which device is decided when a program is lowered. So what is
lowered here for CUDA and TPUs is what these would run, and holds no call of a CPU's.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import native
from nwm_jax.config import presets
from nwm_jax.experiments.forecasting.task import Forecasting
from nwm_jax.modules import conv
from nwm_jax.training import dispatch, optimizer, registry
from nwm_jax.training import state as states
from nwm_jax.training.mesh import make_mesh
from tests.helpers.native_library import needs_native

ON_CPUS_ALONE = ("nwm_", "lapack_", "__onednn", "__cpu", "YnnFusion")
# Of every family one, forecasters first.
FORECASTERS = (
    "lwm2d",
    "nwm2d",
    "nwm1d",
    "cornn",
    "ar",
    "hgn",
    "hgn_conv",
    "rgn",
    "lgn",
    "ode",
)
OTHERS = (
    *("adding_wrnn", "adding_irnn", "copy_wrnn"),
    *("smnist_nwm2d", "smnist_cornn", "smnist_lwm2d", "copy_lwm1d"),
    *("polygons_nwm", "polygons_cnn", "polygons_convlstm", "polygons_unet"),
    *("rotating_mnist_nwm1d", "sine_nwm2d"),
)
QUICK = ("pendulum_nwm2d", "pendulum_hgn", "adding_wrnn", "rotating_mnist_nwm1d")


class Images:
    """Stands for data of which only the shape matters."""

    image_shape, num_frames = (32, 32, 3), 256

    def decode(self, batch):
        return batch


def task_of(name, folder):
    if name.startswith("pendulum_"):
        return Forecasting(presets.load(f"{name}:smoke"), Images())
    config = presets.load(f"{name}:smoke")
    if "cache_dir" in config.data:
        config.data.cache_dir = str(folder)
    for field in ("num_train", "num_valid", "num_test"):
        if field in config.data and name.startswith("polygons"):
            config.data[field] = 4
    return registry.build(config)


def batch_of(task):
    config = task.config
    if isinstance(getattr(task, "source", None), Images):
        shape = (config.batch_size, task.train_length, *Images.image_shape)
        return {"images": jax.ShapeDtypeStruct(shape, jnp.float32)}
    rows = slice(0, config.batch_size)
    return jax.eval_shape(lambda: jax.tree.map(jnp.asarray, task.batch(0, rows)))


def traced_step(task):
    """One training step: loss, gradients, update."""
    config = task.config
    transform = optimizer.build(config.optimizer, config.num_steps)
    before = states.abstract(task, transform, make_mesh(jax.devices()[:1]))
    before = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), before)
    key = jax.eval_shape(lambda: jax.random.key(0))
    step = jax.jit(dispatch.make_step(task, transform))
    return step.trace(before, batch_of(task), key)


def calls(text):
    """The names of all custom calls of a lowered program."""
    return set(re.findall(r"custom_call @([\w.$]+)", text))


def assert_no_call_of_a_cpu(text):
    assert not {n for n in calls(text) if n.startswith(ON_CPUS_ALONE)}


NAMES = (*(f"pendulum_{model}" for model in FORECASTERS), *OTHERS)
CASES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in NAMES
]


@pytest.mark.parametrize("name", CASES)
def test_a_step_lowered_for_accelerators_has_no_call_of_a_cpu(
    name, tmp_path, monkeypatch
):
    # As the verbs have it: what an ODE solver finds wrong is NaN, no call of Python.
    monkeypatch.setattr("equinox._errors.EQX_ON_ERROR", "nan")
    traced = traced_step(task_of(name, tmp_path))
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "stablehlo" in text
        assert_no_call_of_a_cpu(text)
    on_cpu = calls(traced.lower(lowering_platforms=("cpu",)).as_text())
    if name in ("pendulum_nwm2d", "pendulum_hgn") and native.available():
        assert any(target.startswith("nwm_") for target in on_cpu)


@needs_native
def test_an_exported_program_is_of_each_device_its_own():
    def slopes(x, kernel):
        return jax.grad(lambda *a: jnp.sum(jnp.sin(conv.conv(*a))), (0, 1))(x, kernel)

    arrays = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
    for platforms in (["cuda"], ["tpu"], ["cuda", "tpu"]):
        exported = jax.export.export(jax.jit(slopes), platforms=platforms)(*arrays)
        assert not calls(exported.mlir_module())
        assert exported.platforms == tuple(platforms)
    safe = [
        jax.export.DisabledSafetyCheck.custom_call(f"nwm_{name}")
        for name in native.FUNCTIONS
    ]
    exported = jax.export.export(
        jax.jit(slopes), platforms=["cpu"], disabled_checks=safe
    )(*arrays)
    assert len(calls(exported.mlir_module())) == 3
    got = exported.call(*arrays)
    for a, b in zip(got, slopes(*arrays), strict=True):
        np.testing.assert_array_equal(a, b)

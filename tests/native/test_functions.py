"""The compiled functions themselves: random calls, sizes that do not fit, memory."""

import functools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import native
from tests.helpers import native_sweep
from tests.helpers.native_library import needs_native

pytestmark = needs_native


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_random_calls_equal_those_of_xla(seed):
    """With every instruction set: shapes, strides, no images, NaN, infinity, views."""
    assert native_sweep.sweep(12, seed) == []


@pytest.mark.slow
def test_many_random_calls_equal_those_of_xla():
    assert native_sweep.sweep(150, 100) == []


def call(name, shapes, results, dtypes=None, **attributes):
    assert native.available()
    attributes = {"stride": 1, "top": 1, "left": 1, "slope": 1.0, **attributes}
    values = {
        key: np.float64(value) if key == "slope" else np.int64(value)
        for key, value in attributes.items()
        if key != "slope" or name != "kernel_gradient"
    }
    dtypes = dtypes or [np.float32] * len(shapes)
    arrays = [jnp.ones(s, d) for s, d in zip(shapes, dtypes, strict=True)]
    outputs = [jax.ShapeDtypeStruct(shape, np.float32) for shape in results]
    function = jax.ffi.ffi_call(f"nwm_{name}", outputs)
    return jax.block_until_ready(
        jax.jit(functools.partial(function, **values))(*arrays)
    )


X, K, B, Y = (2, 8, 8, 3), (3, 3, 3, 4), (4,), (2, 8, 8, 4)
BACK, LARGE = (3, 3, 4, 3), (2, 16, 16, 4)
GOOD = {
    "correlate": ((X, K, B), (Y,), {}),
    "spread": ((X, K, B), (Y,), {}),
    "upsample": ((X, K, B), (LARGE,), {"stride": 2}),
    "kernel_gradient": ((X, Y), (K,), {}),
    "correlate_gradients": ((X, BACK, Y), (X, K, B), {}),
    "spread_gradients": ((X, BACK, Y), (X, BACK, B), {}),
    "upsample_gradients": ((X, BACK, LARGE), (X, K, B), {"stride": 2}),
}


def changed(shapes, at, axis, by):
    shapes = [list(shape) for shape in shapes]
    shapes[at][axis] += by
    return shapes


@pytest.mark.parametrize("name", GOOD)
def test_sizes_that_do_not_fit_are_an_error(name):
    """Checked again in C++: whichever array has other channels or axes."""
    shapes, results, attributes = GOOD[name]
    call(name, shapes, results, **attributes)
    for at in range(len(shapes)):
        for by in (-1, 1, 60):
            with pytest.raises(Exception, match="nwm_jax convolution: "):
                call(name, changed(shapes, at, -1, by), results, **attributes)
        flat = [*shapes]
        flat[at] = (int(np.prod(shapes[at])), 1, 1)
        with pytest.raises(Exception, match="number of axes"):
            call(name, flat, results, **attributes)
    for at in range(len(results)):
        with pytest.raises(Exception, match="nwm_jax convolution: "):
            call(name, shapes, changed(results, at, -1, 1), **attributes)
    with pytest.raises(Exception, match="nwm_jax convolution: "):
        call(name, changed(shapes, 0, 0, 1), results, **attributes)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "wrong",
    [{"stride": 0}, {"stride": -1}, {"stride": 2**40}, {"top": 3}, {"left": -1}],
)
def test_a_geometry_out_of_range_is_an_error(name, wrong):
    shapes, results, attributes = GOOD[name]
    with pytest.raises(Exception, match="nwm_jax convolution: "):
        call(name, shapes, results, **{**attributes, **wrong})


@pytest.mark.parametrize("name", GOOD)
def test_other_types_are_an_error(name):
    shapes, results, attributes = GOOD[name]
    with pytest.raises(Exception, match="float32 or float64"):
        call(name, shapes, results, [np.int32] * len(shapes), **attributes)
    mixed = [np.float32] * (len(shapes) - 1) + [np.int32]
    with pytest.raises(Exception, match="of one type"):
        call(name, shapes, results, mixed, **attributes)


MEMORY = """
import sys
import jax, jax.numpy as jnp, numpy as np
from nwm_jax.modules import conv

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

@jax.jit
def work(x, kernel):
    loss = lambda *a: jnp.sum(jnp.sin(conv.conv(*a)))
    return jax.value_and_grad(loss, (0, 1))(x, kernel)

sizes = [(1, s, s, c) for s in (4, 9, 16, 33, 64, 128, 256) for c in (3, 16, 32)]
calls = [(np.ones(s, "f4"), np.ones((3, 3, s[3], 32), "f4")) for s in sizes]
for call in calls:
    jax.block_until_ready(work(*call))
before = resident()
rng = np.random.default_rng(0)
for index in rng.integers(0, len(calls), 1000):
    jax.block_until_ready(work(*calls[index]))
print(before, resident())
"""


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="no /proc")
def test_memory_stays_bounded_over_calls_of_varying_sizes():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = map(float, done.stdout.split())
    # A call frees its workspaces, so that a leak of one array of x a call would be 850 MiB.
    # What stays is what malloc keeps for each thread: of the largest call x, its padded
    # copy, y, the sine, and the three gradients, 8 MiB each (75 MiB measured, two threads).
    bound = min(64 * max(2, os.cpu_count()), 512)
    assert after < before + bound, f"{before} MiB, after 1,000 calls {after} MiB"


LIMITED = """
import resource
import jax, jax.numpy as jnp, numpy as np
from nwm_jax.modules import conv

x, kernel = np.ones((16, 3, 3, 4096), "f4"), np.ones((3, 3, 4096, 64), "f4")
gradient = jax.jit(jax.grad(lambda k, x: jnp.sum(conv.conv(x, k, stride=2))))
program = gradient.lower(kernel, x).compile()
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * 4096
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, most))  # 16 sums take 144
try:
    jax.block_until_ready(program(kernel, x))
except Exception as error:
    print("no memory for its sums" in str(error))
resource.setrlimit(resource.RLIMIT_AS, (most, most))
print(float(jnp.sum(program(kernel, x))) > 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="no /proc")
def test_no_memory_is_an_error_and_not_the_end():
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]

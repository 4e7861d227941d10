"""Memory that a step frees is there for the next one."""

import ctypes
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

PROGRAM = """
import tests.shell.test_memory as test
from nwm_jax.shell import memory
memory.keep_freed()
test.fill_and_free()
print(test.faults(test.fill_and_free))
"""
SIZE = 1 << 26


def fill_and_free():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    data = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(SIZE)))
    ctypes.memset(data, 1, SIZE)
    libc.free(data)


def faults(function):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt"
)
def test_freed_memory_is_kept():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < SIZE // 4096 // 10

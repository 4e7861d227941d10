"""Times of something done several times, and the machine that took them."""

import contextlib
import os
import pathlib
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

_HUGE_PAGES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
#: What makes glibc (2.35 and later) ask for huge pages, in the environment of a program.
ASK_FOR_HUGE_PAGES = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"


class Times(NamedTuple):
    """How long repetitions took, all in one unit.

    Attributes:
      median: of all repetitions.
      least: the fastest.
      most: the slowest.
    """

    median: float
    least: float
    most: float


def summarise(seconds: list[float], scale: float = 1.0) -> Times:
    """Returns median and spread of repeated measurements, times `scale`."""
    scaled = [scale * second for second in seconds]
    return Times(statistics.median(scaled), min(scaled), max(scaled))


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Returns what a function returns, ready to be read, and the seconds that it took.

    Args:
      function: called once.

    Returns:
      The result; the time on the clock; the time that processors spent in this program,
      all cores together, which other programs hardly change.
    """
    began, spent = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(function())
    return result, time.perf_counter() - began, time.process_time() - spent


def matmul_rate() -> float:
    """Measures operations per second of a large matrix product, best of three."""
    size = 1500
    matrix = jnp.ones((size, size))
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        product(matrix).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


@contextlib.contextmanager
def without_cache() -> Iterator[None]:
    """Has JAX compile anew what it could read from its cache on disk."""
    name = "jax_enable_compilation_cache"
    before = getattr(jax.config, name)
    jax.config.update(name, False)
    compilation_cache.reset_cache()  # it is asked once only
    try:
        yield
    finally:
        jax.config.update(name, before)
        compilation_cache.reset_cache()


def machine() -> dict[str, Any]:
    """Describes what numbers depend on: processor, cores, devices, versions, load."""
    device = jax.devices()[0]
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": f"{jax.device_count()} {device.device_kind}",
        "jax": jax.__version__,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "huge_pages": huge_pages(),
    }


def huge_pages() -> str:
    """Returns whether large arrays are in huge pages: yes, no or "if asked".

    Linux hands them to every program, to none, or to those that ask for them
    (`ASK_FOR_HUGE_PAGES`). With small pages, looking up addresses takes a good part of
    a step on a CPU.
    """
    try:
        given = _HUGE_PAGES.read_text()
    except OSError:  # not Linux
        return "no"
    if "[madvise]" in given:
        variable, _, value = ASK_FOR_HUGE_PAGES.partition("=")
        return "yes" if value in os.environ.get(variable, "") else "if asked"
    return "yes" if "[always]" in given else "no"


def describe(machine: dict[str, Any]) -> str:
    """Returns one line about `machine()`."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['device']}, "
        f"jax {machine['jax']}, Python {machine['python']}, "
        f"load before: {machine['load']}, "
        f"huge pages: {machine['huge_pages']}"
    )


def _cpu() -> str:
    with_names = pathlib.Path("/proc/cpuinfo")
    text = with_names.read_text() if with_names.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()

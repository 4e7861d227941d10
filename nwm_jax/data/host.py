"""Float64 on the host's CPU, whatever the user's JAX settings are."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def float64_on_cpu() -> Iterator[None]:
    """Runs JAX in float64 on the CPU inside the block; global settings stay untouched.

    Accelerators are slow or inexact in float64, and one backend everywhere makes the
    simulated numbers the same everywhere. Where JAX was told to use no CPU at all
    (`JAX_PLATFORMS=cuda`) the default device is taken.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        # Random bits must not depend on a default that differs between JAX versions.
        stack.enter_context(jax.threefry_partitionable(True))
        with contextlib.suppress(RuntimeError):
            cpu = jax.local_devices(backend="cpu")[0]
            stack.enter_context(jax.default_device(cpu))
        yield

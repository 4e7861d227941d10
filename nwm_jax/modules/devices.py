"""Examples that are dealt out to devices, and programs that must fit into these."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, PartitionSpec

from nwm_jax import files
from nwm_jax.modules.chunks import chunk_size

# Numbers that a CPU's cache holds: of a torus of 16x16 cells with 16 channels, 120
# examples in parts of 12 take a quarter of the time of all at once.
_CACHE_NUMBERS = 900_000

Result = TypeVar("Result")


def on_each_device(
    function: Callable[[Any, Any], Result], examples: Any, weights: Any
) -> Result:
    """Calls ``function(examples, weights)``, on every device with its own examples.

    Where a mesh is set (`jax.set_mesh`), a loop over examples, or a call of compiled code
    with them, would else make XLA gather them all. Without one, or where the devices do
    not divide the examples, it is a plain call.

    Args:
      function: its results have the examples, or anything that is one for each call,
        on their first axes.
      examples: a pytree of ``[N, ...]``.
      weights: a pytree, the same on all devices.

    Returns:
      The results, along their first axes one device after the other.
    """
    mesh = jax.sharding.get_abstract_mesh()
    automatic = set(mesh.axis_types) == {AxisType.Auto}
    count = jax.tree.leaves(examples)[0].shape[0]
    if not automatic or mesh.size == 1 or count % mesh.size:
        return function(examples, weights)
    along, same = PartitionSpec(mesh.axis_names), PartitionSpec()  # type: ignore[no-untyped-call]  # JAX's
    return jax.shard_map(
        function,
        in_specs=(along, same),
        out_specs=along,
        check_vma=False,
    )(examples, weights)


def check_program(
    program: jax.stages.Compiled,
    what: str,
    remedy: str,
    devices: int = 1,
    memory: float | None = None,
) -> None:
    """Refuses a program that needs more memory than there is, before it runs.

    Counted are its arguments, its results and what XLA has planned for all between.

    Args:
      program: what `jax.jit(function).lower(...).compile()` returns.
      what: what needs the memory: "batch_size=8".
      remedy: what to do about it.
      devices: how many share the memory, and run the program each.
      memory: bytes that there are; None: the machine's.

    Raises:
      UserError: it is more.
    """
    analysis = program.memory_analysis()
    if analysis is None:  # of a backend that does not say
        return
    size = (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
        - analysis.alias_size_in_bytes
    )
    files.check_memory(devices * size, what, remedy, memory)


def in_cache(function: Callable[[Any], Result], examples: Any, numbers: int) -> Result:
    """Calls ``function(examples)``, on CPUs for as many at a time as fit the cache.

    Args:
      function: its results have the examples on their first axes.
      examples: a pytree of ``[N, ...]``.
      numbers: that the function moves for one example, again and again.

    Returns:
      The results for all examples.
    """
    count = jax.tree.leaves(examples)[0].shape[0]
    size = chunk_size(count, max(1, _CACHE_NUMBERS // numbers))
    # A loop over parts that lie on several devices would gather them.
    if size == count or jax.sharding.get_abstract_mesh().size > 1:
        return function(examples)

    def in_parts(examples: Any) -> Any:
        parts = jax.tree.map(lambda a: a.reshape(-1, size, *a.shape[1:]), examples)
        results = jax.lax.map(function, parts)
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), results)

    results: Result = jax.lax.platform_dependent(
        examples, cpu=in_parts, default=function
    )
    return results

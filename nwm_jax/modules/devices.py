"""Examples that are dealt out to devices, and programs that must fit into these."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec

from nwm_jax import files


def on_each_device(
    function: Callable[[Any, Any], Any], examples: Any, weights: Any
) -> Any:
    """Calls ``function(examples, weights)``, on every device with its own examples.

    Where a mesh is set (`jax.set_mesh`), a loop over examples, or a call of compiled code
    with them, would else make XLA gather them all. Without one, or where the devices do not divide the examples, it is a
    plain call.

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
    along = PartitionSpec(mesh.axis_names)
    return jax.shard_map(
        function,
        in_specs=(along, PartitionSpec()),
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

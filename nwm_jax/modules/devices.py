"""Functions of examples that every device runs on its own part of them."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec


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

"""Whether a run fits into the memory of the machine, before anything is computed.

What is counted is less than a step really takes, so that no run is refused that would
have worked; XLA alone knows the rest, once it has compiled the step.
"""

import math
from typing import Any

import jax
from jax.sharding import Mesh

from nwm_jax import files
from nwm_jax.training import state as states
from nwm_jax.training.task import Task


def check(config: Any, task: Task, state: states.TrainState, mesh: Mesh) -> None:
    """Refuses a run whose weights, examples or data need more memory than there is.

    The state of training (weights, averages of the optimizer) lies on every device, one
    gradient beside it; the examples of a batch are dealt out to the devices.

    Args:
      config: read are `batch_size` and `eval.batch_size`.
      task: what is trained, see `Task.check_size` and `Task.bytes_per_example`.
      state: the shapes of the state, as `state.abstract` returns them.
      mesh: the devices.

    Raises:
      UserError: one line with the field and the numbers.
    """
    task.check_size()
    memory = _memory(mesh)
    weights = size(state) + size(state.params)
    number = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    files.check_memory(
        mesh.size * weights,
        f"the model has {number:,} parameters",
        "lower the sizes under model",
        memory,
    )
    example = task.bytes_per_example()
    for field, examples, kept in (
        ("batch_size", config.batch_size, 1.0),
        # Nothing is kept for a gradient.
        ("eval.batch_size", config.eval.batch_size, 0.5),
    ):
        files.check_memory(
            mesh.size * weights + kept * examples * example,
            f"{field}={examples} examples of {example / 1e6:.3g} MB or more",
            f"lower {field}, or the sizes of the data or the model",
            memory,
        )


def size(tree: Any) -> int:
    """Returns the bytes of arrays, or of their shapes."""
    return sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)
    )


def _memory(mesh: Mesh) -> float:
    """Returns the bytes that all devices have together; inf if they do not say."""
    device = mesh.local_devices[0]
    if device.platform == "cpu":
        processes = len({other.process_index for other in mesh.devices.flat})
        return files.machine_memory() * processes
    limit = (device.memory_stats() or {}).get("bytes_limit", math.inf)
    return limit * mesh.size

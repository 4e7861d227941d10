"""Whether a run fits into the memory of the machine.

Before anything is computed weights, examples and data are counted, which is less than a
step takes: what costs minutes is not begun where it is plainly too much. Once XLA has
compiled a program, and before that runs, XLA's own plan of its memory counts.
"""

import math
from typing import Any

import jax
from jax.sharding import Mesh

from nwm_jax import files
from nwm_jax.modules import devices
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


def check_program(
    program: jax.stages.Compiled, field: str, examples: int, mesh: Mesh
) -> None:
    """Refuses a compiled step or evaluation that does not fit, before it runs.

    Args:
      program: what was compiled for the devices of the mesh.
      field: the config's field with the number of examples.
      examples: its value.
      mesh: the devices.

    Raises:
      UserError: one line with the field and the numbers.
    """
    devices.check_program(
        program,
        f"{field}={examples} with these sizes of data and model",
        f"lower {field} or the sizes",
        mesh.size,
        _memory(mesh),
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

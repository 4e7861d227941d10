"""One mesh over all devices of all processes: parameters replicated, batches sharded."""

import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from nwm_jax.errors import UserError
from nwm_jax.training import peers

# So long a process waits for the others to come; a queue may start them one by one.
JOIN_SECONDS = 300

# How errors look after the loss of another process: of the service that processes keep
# in touch by, of Gloo between CPUs, of NCCL between GPUs.
_LOST = (
    r"^(UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED)\b",
    r"(?is)\bGloo\b.*(closed by peer|reset by peer|broken pipe|refused|time[d ]*out)",
    r"(?is)\bNCCL\b.*(remote process exited|remote error|connection closed|reset by peer)",
)


def initialize_distributed() -> bool:
    """Joins the other processes of a cluster, where there are any.

    It must run before anything asks for a device. A cluster is: more than one task of
    `srun` or `mpirun`, more than one TPU host, or the variables
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, which the program that
    starts the processes sets to ask for it. A plain machine, and a shell inside a
    Slurm allocation, are left alone.

    Returns:
      Whether `jax.distributed` was initialized.

    Raises:
      UserError: the cluster cannot be joined.
    """
    environment = os.environ
    arguments: dict[str, Any] = {}
    if address := environment.get("JAX_COORDINATOR_ADDRESS"):
        arguments["coordinator_address"] = address
        # Half of the three: a cluster that JAX knows may fill in the rest.
        if {"JAX_NUM_PROCESSES", "JAX_PROCESS_ID"} <= environment.keys():
            arguments["num_processes"] = _number("JAX_NUM_PROCESSES", 1)
            arguments["process_id"] = _number("JAX_PROCESS_ID", 0)
    # SLURM_NTASKS is set in a salloc shell too; only srun sets the step's variables.
    tasks = [
        _number(name, 1)
        for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
        if environment.get(name)
    ]
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "").split(",")
    if not (arguments or max(tasks, default=1) > 1 or len(hosts) > 1):
        return False
    # It would take SIGTERM away from `signals`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        with _not_forever(arguments.get("coordinator_address", "the coordinator")):
            jax.distributed.initialize(
                **arguments, initialization_timeout=JOIN_SECONDS + 30
            )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"cannot join the other processes: {str(error).splitlines()[0]} (set "
            "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID)"
        ) from error
    peers.watch()
    return True


def _number(name: str, least: int) -> int:
    """Reads a whole number from the environment."""
    text = os.environ[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UserError(
            f"{name}={text!r} is not a whole number; set it anew or unset it"
        )
    if int(text) < least:
        raise UserError(f"{name}={text} must be {least} or more")
    return int(text)


@contextlib.contextmanager
def _not_forever(where: str) -> Iterator[None]:
    """Ends the program with one line if joining takes too long; JAX would abort it."""

    def give_up() -> None:
        print(
            f"error: not all processes of this run came to {where} within "
            f"{JOIN_SECONDS} s; start all of them again with the same command",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    timer = threading.Timer(JOIN_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Makes the 1-D mesh `("data",)`.

    Args:
      devices: the devices to use; None: all devices of all processes.

    Returns:
      A mesh whose devices are in the order of the processes, so that each process
      holds one contiguous part of every batch.
    """
    devices = jax.devices() if devices is None else devices
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered), ("data",), axis_types=(AxisType.Auto,))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Checks that a batch can be dealt out evenly.

    Raises:
      UserError: `batch_size` is not a positive multiple of the number of devices.
    """
    if batch_size < 1 or batch_size % mesh.size:
        raise UserError(
            f"batch_size={batch_size} does not divide among {mesh.size} devices; "
            f"take a multiple of {mesh.size}, such as "
            f"{max(1, round(batch_size / mesh.size)) * mesh.size}"
        )


def process_rows(batch_size: int, mesh: Mesh) -> np.ndarray:
    """Returns the rows of a global batch that this process has to provide.

    Args:
      batch_size: rows in the global batch.
      mesh: the mesh from `make_mesh`.

    Returns:
      Increasing int64 array of row numbers in `[0, batch_size)`.
    """
    check_batch_size(batch_size, mesh)
    mine = [
        position
        for position, device in enumerate(mesh.devices.flat)
        if device.process_index == jax.process_index()
    ]
    share = batch_size // mesh.size
    return np.arange(mine[0] * share, (mine[-1] + 1) * share)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts arrays, equal in all processes, on every device of the mesh.

    What is there already is not copied: do not donate the result.
    """
    sharding = NamedSharding(mesh, PartitionSpec())

    def put(leaf: Any) -> jax.Array:
        # From a device of one process nothing can be sent to those of another.
        if jax.process_count() > 1 and getattr(leaf, "is_fully_addressable", False):
            leaf = np.asarray(leaf)
        return jax.device_put(leaf, sharding)

    return jax.tree.map(put, tree)


def shard_batch(tree: Any, mesh: Mesh, axis: int = 0) -> Any:
    """Puts this process's rows on its devices, as part of one global array.

    Args:
      tree: host arrays whose `axis` runs over the rows of `process_rows`.
      mesh: the mesh.
      axis: the axis of the rows.

    Returns:
      The same tree of global arrays, sharded over `axis`.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, leaf), tree
    )


def is_primary() -> bool:
    """Returns whether this process is the one that writes files and prints."""
    return jax.process_index() == 0


def on_primary(function: Callable[[], Any]) -> Any:
    """Runs a function in process 0 only and sends every process the outcome.

    Args:
      function: returns something that JSON can hold.

    Returns:
      What the function returned, in every process.

    Raises:
      Exception: what the function raised, in process 0; in the others a UserError
        that says so, so that none is left waiting.
    """
    if jax.process_count() == 1:
        return function()
    failure, text = None, "{}"
    if is_primary():
        try:
            text = json.dumps({"result": function()})
        except Exception as error:  # noqa: BLE001 (raised below)
            failure, text = error, json.dumps({"error": _describe(error)})
    sent = np.frombuffer(text.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(sent.size)))
    buffer = sent if is_primary() else np.zeros(size, np.uint8)
    received = np.asarray(multihost_utils.broadcast_one_to_all(buffer), np.uint8)
    if failure is not None:
        raise failure
    message = json.loads(received.tobytes().decode())
    if "error" in message:
        raise UserError(message["error"])
    return message["result"]


def largest(number: int) -> int:
    """Returns the largest of the numbers that the processes call this with."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def is_lost_peer(error: Exception) -> bool:
    """Returns whether an error is what the loss of another process leads to here."""
    lost = isinstance(error, jax.errors.JaxRuntimeError) and jax.process_count() > 1
    return lost and any(re.search(pattern, str(error)) for pattern in _LOST)


def lost_peer(error: Exception, purpose: str) -> UserError:
    """Makes the error that names the loss of another process.

    Where that one has said why it ends, this process ends too, and nothing is returned.
    Else the end of this program will not wait for it; JAX would, and abort after
    minutes.

    Args:
      error: what JAX raised.
      purpose: what starting all of them again is good for, such as "to go on".
    """
    peers.wait_for_end()
    peers.leave_at_exit(2)
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"another process of this run is gone ({reason}); start all of them again with "
        f"the same command {purpose}"
    )


def _describe(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    lines = str(error).strip().splitlines() or [""]
    return f"process 0 failed with {type(error).__name__}: {lines[0][:200]}"

"""How the runs of a sweep share the GPUs of this machine."""

import itertools
import os
import re
import shutil
import subprocess

from nwm_jax.errors import UserError, reason

_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
# Where one of them is set, the user has decided about the memory.
_MEMORY = (_FRACTION, "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE")
# What JAX may take of a GPU for all of its runs; the rest is for CUDA itself.
_MOST = 0.9
# So long nvidia-smi may take; it does where a driver hangs.
_SECONDS = 60
# A number or a UUID, which may be shortened.
_NAME = re.compile(r"\d+|(GPU|MIG)-[\w/-]+", re.ASCII)
_INSTANCE = re.compile(r"\s+MIG .*\(UUID: (MIG-[\w/-]+)\)", re.ASCII)


def visible() -> list[str]:
    """Returns the GPUs that a run would use, as CUDA_VISIBLE_DEVICES names them.

    Instances of a GPU that is divided (MIG) count each, by their UUID; a process can use
    no more than one of them.

    Returns:
      Numbers or UUIDs; none without a GPU of NVIDIA.

    Raises:
      UserError: nvidia-smi does not answer.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = (name.strip() for name in chosen.split(","))
        # As CUDA reads it: what follows a name that is none is not visible.
        return list(itertools.takewhile(_NAME.fullmatch, names))
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        done = subprocess.run(
            [command, "-L"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(
            f"nvidia-smi -L does not answer ({reason(error)}): name the GPUs in "
            "CUDA_VISIBLE_DEVICES"
        ) from None
    # Without a driver, or without a GPU, it prints a sentence.
    return _listed(done.stdout) if done.returncode == 0 else []


def _listed(text: str) -> list[str]:
    """The devices in what ``nvidia-smi -L`` prints."""
    number, result = 0, []
    for line in text.splitlines():
        if line.startswith("GPU "):
            result.append(str(number))
            number += 1
        elif (instance := _INSTANCE.match(line)) and result:
            if not result[-1].startswith("MIG-"):
                result.pop()  # the GPU that is divided
            result.append(instance[1])
    return result


def environments(at_a_time: int) -> list[dict[str, str]]:
    """Returns the variables of each of the runs that go on at the same time.

    A run alone uses all GPUs, as without a sweep. Of several each gets one GPU; those
    that share one divide its memory, of which JAX would give most to the first.

    Args:
      at_a_time: how many runs go on at the same time.
    """
    gpus = visible()
    if at_a_time == 1 or not gpus:
        return [{}] * at_a_time
    shares = []
    for slot in range(at_a_time):
        gpu = slot % len(gpus)
        shares.append({"CUDA_VISIBLE_DEVICES": gpus[gpu]})
        sharing = len(range(gpu, at_a_time, len(gpus)))
        if sharing > 1 and not any(name in os.environ for name in _MEMORY):
            # Rounded down.
            shares[-1][_FRACTION] = f"{int(100 * _MOST / sharing) / 100:.2f}"
    return shares

"""How the runs of a sweep share the GPUs of this machine."""

import os
import shutil
import subprocess

_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
# Where one of them is set, the user has decided about the memory.
_MEMORY = (_FRACTION, "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE")
# What JAX may take of a GPU for all of its runs; the rest is for CUDA itself.
_MOST = 0.9


def visible() -> list[str]:
    """Returns the numbers of the GPUs that a run would use; none without NVIDIA's."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu.strip() not in ("", "-1")]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    done = subprocess.run(
        [command, "-L"], capture_output=True, text=True, check=False, timeout=60
    )
    lines = done.stdout.splitlines()
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in lines))]


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

"""A Slurm array script of a sweep's runs: one task for each, which goes on by itself."""

import os
import pathlib
import shlex
import tempfile
from collections.abc import Sequence

from jobs import Job

_ARRAY = """\
#!/usr/bin/env bash
# Written by launch/sweep.py: one task for each run, one GPU for each task.
#SBATCH --job-name=nwm_jax_sweep
#SBATCH --array=0-{last}
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=6
#SBATCH --time=24:00:00
#SBATCH --output={out}/%x-%A_%a.log
#SBATCH --open-mode=append
# Two minutes before the time is over a task gets a SIGTERM: it saves and exits.
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

export NWM_JAX_CACHE=${{NWM_JAX_CACHE:-$PWD/cache}}
# A run that a signal has ended has not failed: it goes on in the next turn.
export NWM_JAX_PREEMPTED_EXIT=0

case $SLURM_ARRAY_TASK_ID in
{cases}
esac

began=$workdir.began
mkdir -p "$(dirname "$workdir")"
touch "$began"

# The signal may come before Python hears it: a task then ends with 143.
code=0
srun "${{command[@]}}" || code=$?
if ((code && code != 143)); then
  exit "$code"
fi

# No eval.json of this turn: ended in order, but early; go on in the next turn.
if [[ ! $workdir/eval.json -nt $began ]]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
rm -f "$began"
"""


def script(jobs: Sequence[Job]) -> str:
    """Returns an array script with one task for each run.

    Args:
      jobs: one or more, all in one folder.
    """
    cases = [
        f"  {number})\n    workdir={shlex.quote(str(job.workdir))}\n"
        f"    command=({shlex.join(job.command)})\n    ;;"
        for number, job in enumerate(jobs)
    ]
    return _ARRAY.format(
        last=len(jobs) - 1, out=jobs[0].workdir.parent, cases="\n".join(cases)
    )


def write(path: pathlib.Path, jobs: Sequence[Job]) -> None:
    """Writes the script of some runs: whole or, if that fails, not at all.

    Args:
      path: the file; its folder is made if it is missing.
      jobs: see `script`.

    Raises:
      OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # `nwm_jax.files` has the same, but to import the package takes JAX.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".sweep-") as folder:
        whole = pathlib.Path(folder) / path.name
        whole.write_text(script(jobs))
        os.replace(whole, path)

"""The array script of a sweep."""

import functools
import os
import subprocess

import jobs
import slurm_array

from tests.launch import fake_runs


def test_slurm_array(tmp_path):
    """The script runs each task's own command, here with a `srun` that runs it."""
    todo = [fake_runs.job(tmp_path / "a b", name) for name in ("one", "two", "three")]
    script = slurm_array.script(todo)
    assert "#SBATCH --array=0-2\n" in script
    path = tmp_path / "array.sbatch"
    path.write_text(script)
    subprocess.run(["bash", "-n", str(path)], check=True)
    calls = tmp_path / "calls"
    for name, does in {"srun": 'exec "$@"', "scontrol": f"echo $* > {calls}"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_JOB_ID": "7",
    }
    run = functools.partial(subprocess.run, ["bash", str(path)], check=True)
    run(env=environment)
    assert [path.name for path in (tmp_path / "a b").iterdir()] == ["two"]
    assert jobs.is_finished(todo[1])
    assert not calls.exists()
    # The next turn ends early; what the first has evaluated is not its end.
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    run(env=environment)
    assert calls.read_text() == "requeue 7_1\n"

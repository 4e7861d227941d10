"""Trains every model on every dataset with every seed: here, or as a Slurm array.

    python launch/sweep.py --datasets=spring --seeds=0,1 --preset=laptop --out=runs/table
    python -m nwm_jax.table --runs='runs/table/*'

With --grid=copy_wrnn in place of --datasets and --models: the hyper-parameters that were
searched for a sequence experiment (`nwm_jax.presets.grids`). Arguments without dashes are fields of all configs, such as batch_size=16. Run the same
command again to go on: what is finished is skipped, what is not goes on where it
stopped. A run that fails does not stop the others; the exit code is then 1. Ctrl-C and
SIGTERM let the runs save and end.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from absl import app, flags

DATASETS = flags.DEFINE_list(
    "datasets",
    ["spring", "pendulum", "two_body", "pennies", "double_pendulum"],
    "datasets by name",
)
MODELS = flags.DEFINE_list(
    "models", ["ar", "hgn", "ode", "cornn", "nwm2d", "nwm1d"], "models by name"
)
GRID = flags.DEFINE_string(
    "grid", None, "a sequence experiment by name: run its grid of hyper-parameters"
)
SEEDS = flags.DEFINE_list("seeds", ["0"], "seeds, such as 0,1,2")
PRESET = flags.DEFINE_string("preset", "paper", "preset of all configs")
OUT = flags.DEFINE_string("out", "runs/sweep", "folder of the workdirs and the logs")
JOBS = flags.DEFINE_integer("jobs", 1, "runs at a time", lower_bound=1)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "print the commands and do nothing")
SLURM = flags.DEFINE_string(
    "slurm", None, "write a Slurm array of the commands to this file; run nothing"
)

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

case $SLURM_ARRAY_TASK_ID in
{cases}
esac

srun "${{command[@]}}"

# Ended in order, but early: go on in the next turn.
if [[ ! -e $workdir/eval.json ]]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
"""


class Job(NamedTuple):
    """One run.

    Attributes:
      workdir: its folder, whose name is the run's.
      command: what trains it.
      num_steps: its last step.
      protocol: the name of its protocol.
      stops: whether it ends before its last step when its task is solved.
    """

    workdir: pathlib.Path
    command: list[str]
    num_steps: int
    protocol: str
    stops: bool = False

    @property
    def log(self) -> pathlib.Path:
        """Where its output goes: beside the workdir."""
        return self.workdir.with_name(f"{self.workdir.name}.log")


class Outcome(NamedTuple):
    """What became of a run: "finished", "skipped", "failed" or "stopped" (it can go on).

    Attributes:
      job: the run.
      status: one of the four.
      seconds: how long it ran now.
      reason: what it said last, if it failed.
    """

    job: Job
    status: str
    seconds: float
    reason: str = ""


def resolve(specs: Sequence[str], workdirs: Sequence[str]) -> list[dict]:
    """Reads configs as training would; runs in a process of its own, which has JAX.

    Returns:
      For each config {"num_steps", "protocol", "stops"}, or {"error"} in one line.
    """
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.insert(0, "")  # as `python -m nwm_jax.train` finds the package
    from nwm_jax import files, presets
    from nwm_jax.errors import UserError
    from nwm_jax.presets.validate import validate
    from nwm_jax.training import workdir as workdirs_

    found = []
    for spec, workdir in zip(specs, workdirs, strict=True):
        try:
            config = validate(presets.load(spec))
            stored = pathlib.Path(workdir) / workdirs_.CONFIG
            if stored.exists():
                old, new = files.read_json(stored), workdirs_.to_dict(config)
                if changed := workdirs_.differences(old["config"], new):
                    raise UserError(
                        f"{workdir} holds a run with another config "
                        f"({'; '.join(changed)}); take another --out or the old values"
                    )
            found.append(
                {
                    "num_steps": config.num_steps,
                    "protocol": config.protocol,
                    "stops": config.get("stop_when_solved", False),
                }
            )
        except UserError as error:
            found.append({"error": str(error)})
    return found


def combinations(name: str) -> list[dict] | str:
    """Reads a grid; runs like `resolve`. A text is what is wrong."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.insert(0, "")
    from nwm_jax.errors import UserError
    from nwm_jax.presets import grids

    try:
        return grids.sweep(name)
    except UserError as error:
        return str(error)


def plan(overrides: Sequence[str]) -> list[Job]:
    """Makes the jobs that the flags ask for, dataset by dataset.

    Args:
      overrides: ``field=value`` for all configs.

    Raises:
      ValueError: a config that does not exist, or not like this.
    """
    for override in overrides:
        if "=" not in override or override.startswith("-"):
            raise ValueError(
                f"{override!r} is not field=value, nor a flag of the sweep"
            )
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawned) as pool:
        if GRID.value:
            grid = pool.submit(combinations, GRID.value).result()
            if isinstance(grid, str):
                raise ValueError(grid)
            runs = [(GRID.value, fields) for fields in grid]
            last = {field.rpartition(".")[2] for field in grid[0]}
            for field in (override.partition("=")[0] for override in overrides):
                if field.rpartition(".")[2] in last:
                    raise ValueError(f"the grid {GRID.value} has values of {field}")
        else:
            runs = [
                (f"{dataset}_{model}", {})
                for dataset in dict.fromkeys(DATASETS.value)
                for model in dict.fromkeys(MODELS.value)
            ]
        specs, workdirs = _name_all(runs, overrides)
        if not specs:
            raise ValueError("nothing to run: --datasets, --models or --seeds is empty")
        found = pool.submit(resolve, specs, [str(path) for path in workdirs]).result()
    errors = [known["error"] for known in found if "error" in known]
    if errors:
        raise ValueError(errors[0])
    train = [sys.executable, "-m", "nwm_jax.train"]
    return [
        Job(path, [*train, f"--config={spec}", f"--workdir={path}"], **known)
        for spec, path, known in zip(specs, workdirs, found, strict=True)
    ]


def _name_all(
    runs: Sequence[tuple[str, dict]], overrides: Sequence[str]
) -> tuple[list[str], list[pathlib.Path]]:
    """Gives the config and the workdir of every run with every seed."""
    specs, workdirs = [], []
    for experiment, fields in runs:
        settings = [f"{field}={value}" for field, value in fields.items()]
        words = [
            f"{field.rpartition('.')[2]}_{str(value)[:6]}"
            for field, value in fields.items()
        ]
        for seed in dict.fromkeys(SEEDS.value):
            given = ",".join([PRESET.value, f"seed={seed}", *settings, *overrides])
            specs.append(f"{experiment}:{given}")
            name = "_".join([experiment, PRESET.value, seed, *words])
            workdirs.append(pathlib.Path(OUT.value) / name)
    return specs, workdirs


def is_finished(job: Job) -> bool:
    """Whether a run's last step, or a solution, has been evaluated by its protocol."""
    try:
        report = json.loads((job.workdir / "eval.json").read_text())
        ended = report["step"] == job.num_steps or (job.stops and report["solved"] == 1)
        return ended and report["protocol"] == job.protocol
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Runner:
    """Runs jobs, several at a time.

    Args:
      jobs: what to run, in this order.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.stopping = False
        self.running: set[subprocess.Popen] = set()
        self.lock = threading.Lock()

    def run(self, at_a_time: int) -> list[Outcome]:
        """Runs all jobs; returns their outcomes in the order of the jobs."""
        with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
            return list(pool.map(self._run, range(len(self.jobs))))

    def stop(self) -> None:
        """Starts no more runs and asks those that run to save and end."""
        with self.lock:
            self.stopping = True
            for process in self.running:
                process.terminate()

    def _run(self, number: int) -> Outcome:
        job = self.jobs[number]
        place = f"[{number + 1}/{len(self.jobs)}] {job.workdir.name}"
        if is_finished(job):
            print(f"{place}: finished before, skipped", flush=True)
            return Outcome(job, "skipped", 0.0)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with job.log.open("ab") as log:
            start = log.tell()
            with self.lock:
                if self.stopping:
                    return Outcome(job, "stopped", 0.0)
                # A session of its own: Ctrl-C reaches it once, through `stop`.
                process = subprocess.Popen(
                    job.command,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self.running.add(process)
            print(f"{place}: started, {job.log}", flush=True)
            code = process.wait()
            with self.lock:
                self.running.remove(process)
        seconds = time.monotonic() - began
        if code == 0 and is_finished(job):
            outcome = Outcome(job, "finished", seconds)
        elif self.stopping:
            outcome = Outcome(job, "stopped", seconds)
        else:
            said = job.log.read_bytes()[start:].decode(errors="replace").strip()
            last = said.splitlines()[-1] if said else "it said nothing"
            outcome = Outcome(job, "failed", seconds, f"exit code {code}: {last}")
        after = f" after {_time(seconds)}"
        print(f"{place}: {outcome.status}{after} {outcome.reason}".rstrip(), flush=True)
        return outcome


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Tells what became of all runs: their times, the failures and their logs."""
    width = max(len(outcome.job.workdir.name) for outcome in outcomes)
    lines = ["", f"{'run':{width}}  {'status':8}  time"]
    for job, status, took, reason in outcomes:
        lines.append(f"{job.workdir.name:{width}}  {status:8}  {_time(took)}")
        if reason:
            lines.append(f"  {reason} ({job.log})")
    statuses = [outcome.status for outcome in outcomes]
    counts = [
        f"{statuses.count(status)} {status}"
        for status in ("finished", "skipped", "failed", "stopped")
        if status in statuses
    ]
    return "\n".join([*lines, f"{', '.join(counts)} in {_time(seconds)}"])


def slurm_script(jobs: Sequence[Job]) -> str:
    """Gives an array script with one task for each run that is not finished."""
    cases = [
        f"  {number})\n    workdir={shlex.quote(str(job.workdir))}\n"
        f"    command=({shlex.join(job.command)})\n    ;;"
        for number, job in enumerate(jobs)
    ]
    return _ARRAY.format(
        last=len(jobs) - 1, out=jobs[0].workdir.parent, cases="\n".join(cases)
    )


def main(argv: list[str]) -> int:
    """Runs the sweep; 1 if a run failed or was stopped."""
    try:
        jobs = plan(argv[1:])
    except ValueError as error:
        return _fail(str(error))
    if DRY_RUN.value:
        for job in jobs:
            print(shlex.join(job.command))
        return 0
    if SLURM.value:
        return _write_array(jobs)
    runner = Runner(jobs)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: runner.stop())
    began = time.monotonic()
    outcomes = runner.run(JOBS.value)
    print(summary(outcomes, time.monotonic() - began), flush=True)
    return int(any(outcome.status in ("failed", "stopped") for outcome in outcomes))


def _write_array(jobs: Sequence[Job]) -> int:
    todo = [job for job in jobs if not is_finished(job)]
    if not todo:
        print("all runs are finished: there is nothing to submit")
        return 0
    path = pathlib.Path(SLURM.value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(slurm_script(todo))
    # Slurm writes the logs there and makes no folders.
    todo[0].workdir.parent.mkdir(parents=True, exist_ok=True)
    print(f"{len(todo)} runs: sbatch {shlex.quote(str(path))}")
    return 0


def _time(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parse(argv: list[str]) -> list[str]:
    """Parses the flags; a mistake ends with one line and exit code 2."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(_fail(str(error)))


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)

"""The runs of a sweep on this machine, several at a time."""

import concurrent.futures
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# The package need not be installed; its `files` loads without JAX.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from nwm_jax import files


class Job(NamedTuple):
    """One run.

    Attributes:
      workdir: its folder, whose name is the run's.
      command: what trains it.
      num_steps: its last step.
      protocol: the name of its protocol.
      name: the name of its config.
      seed: its seed.
      stops: whether it ends before its last step when its task is solved.
      validate: what scores it on the split "valid" when it is trained; empty: nothing.
    """

    workdir: pathlib.Path
    command: list[str]
    num_steps: int
    protocol: str
    name: str = ""
    seed: int = 0
    stops: bool = False
    validate: Sequence[str] = ()

    @property
    def log(self) -> pathlib.Path:
        """Where its output goes: beside the workdir."""
        return self.workdir.with_name(f"{self.workdir.name}.log")


class Outcome(NamedTuple):
    """What became of a run: "stopped" can go on, "diverged" is an end, too.

    Attributes:
      job: the run.
      status: "finished", "diverged", "skipped", "failed" or "stopped".
      seconds: how long it ran now.
      reason: what it said last, if it failed.
    """

    job: Job
    status: str
    seconds: float
    reason: str = ""


def is_finished(job: Job, folder: pathlib.Path | None = None) -> bool:
    """Returns whether all scores of a run's end, or its divergence, are there.

    Args:
      job: the run.
      folder: where they are; None: in its workdir.
    """
    if has_diverged(job, folder):
        return True
    file = "eval_valid.json"
    return is_scored(job, folder) and (not job.validate or is_scored(job, folder, file))


def is_scored(
    job: Job, folder: pathlib.Path | None = None, file: str = "eval.json"
) -> bool:
    """Returns whether a file has the scores of a run's last step, or of a solution."""
    report = _read(job, folder, file)
    solved = job.stops and report.get("solved") == 1
    return report.get("step") == job.num_steps or solved


def has_diverged(job: Job, folder: pathlib.Path | None = None) -> bool:
    """Returns whether a run ended because a step was not finite."""
    return "diverged" in _read(job, folder, "eval.json")


def _read(job: Job, folder: pathlib.Path | None, file: str) -> dict:
    """Returns what a file says of a run; {} if it is missing, or of another run."""
    try:
        report = files.read_json((folder or job.workdir) / file)
        mine = (("protocol", job.protocol), ("name", job.name), ("seed", job.seed))
        return report if all(report[key] == value for key, value in mine) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


_KEPT = ("config.json", "eval.json", "eval_valid.json", "metrics.jsonl")
_MOST_BYTES = 60_000  # of what is kept of a run: enough of them go into a repository


def keep(job: Job, root: pathlib.Path) -> str:
    """Copies what is small of a workdir to root/<protocol>/<name>-<seed>.

    Returns:
      One line if that is large or names folders of this machine; else "".

    Raises:
      OSError: it cannot be written.
    """
    protocol = re.sub(r"[^\w.=,()+-]+", "_", job.protocol.replace(" + ", "+"))
    folder = root / protocol / f"{job.name}-{job.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    size, local = 0, False
    for file in _KEPT:
        if (job.workdir / file).exists():
            content = (job.workdir / file).read_bytes()
            temporary = folder / f".{file}"
            temporary.write_bytes(content)
            os.replace(temporary, folder / file)
            size += len(content)
            local = local or re.search(rb'["= ]/\w', content) is not None
    if local:
        return f"{folder} names folders of this machine"
    return f"{folder} has {size:,} bytes" if size > _MOST_BYTES else ""


class Runner:
    """Runs jobs, several at a time.

    Args:
      jobs: what to run, in this order.
      done: folders of results; of what is finished there nothing is run.
      keep: the folder that gets a copy of the results of every finished run.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        done: Sequence[pathlib.Path] = (),
        keep: pathlib.Path | None = None,
    ) -> None:
        self.jobs = jobs
        self.done = done
        self.keep = keep
        self.stopping = False
        self.running: set[subprocess.Popen] = set()
        self.lock = threading.Lock()
        self.free: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()

    def run(
        self, at_a_time: int, environments: Sequence[Mapping[str, str]] = ()
    ) -> list[Outcome]:
        """Runs all jobs.

        Args:
          at_a_time: how many.
          environments: the variables that each of these gets, beside those of this
            process; none if not given.

        Returns:
          The outcomes in the order of the jobs.
        """
        for environment in environments or [{}] * at_a_time:
            self.free.put(environment)
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
            return Outcome(job, "skipped", 0.0, self._keep(job))
        there = [folder for folder in self.done if is_finished(job, folder)]
        if there:
            print(f"{place}: finished in {there[0]}, skipped", flush=True)
            return Outcome(job, "skipped", 0.0)
        if self.stopping:
            return Outcome(job, "stopped", 0.0)
        began = time.monotonic()
        environment = self.free.get()
        try:
            status, reason = self._train(job, place, environment)
            if status in ("finished", "diverged"):
                reason = self._keep(job)
        except OSError as error:  # no right to write the log, disk full, ...
            status, reason = "failed", str(error)
        finally:
            self.free.put(environment)
        outcome = Outcome(job, status, time.monotonic() - began, reason)
        after = f" after {_time(outcome.seconds)}"
        print(f"{place}: {status}{after} {reason}".rstrip(), flush=True)
        return outcome

    def _keep(self, job: Job) -> str:
        """Copies the results of a run; returns a line if something is wrong with them."""
        try:
            return keep(job, self.keep) if self.keep else ""
        except OSError as error:
            return f"not kept: {error}"

    def _train(
        self, job: Job, place: str, environment: Mapping[str, str]
    ) -> tuple[str, str]:
        """Trains and scores a run; returns its status and the last line if it failed."""
        code, last = self._call(job, job.command, place, environment)
        if code == 0 and job.validate and is_scored(job):
            code, last = self._call(job, job.validate, place, environment)
        if has_diverged(job):
            return "diverged", ""
        if code == 0 and is_finished(job):
            return "finished", ""
        if self.stopping:
            return "stopped", ""
        return "failed", f"exit code {code}: {last}"

    def _call(
        self,
        job: Job,
        command: Sequence[str],
        place: str,
        environment: Mapping[str, str],
    ) -> tuple[int, str]:
        """Runs a command of a job; returns its exit code and the last line it printed."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            start = log.tell()
            with self.lock:
                if self.stopping:
                    return -1, ""
                # A session of its own: Ctrl-C reaches it once, through `stop`.
                process = subprocess.Popen(
                    command,
                    # A run that a signal ends has not failed: it can go on.
                    env={**os.environ, "NWM_JAX_PREEMPTED_EXIT": "0", **environment},
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
        said = job.log.read_bytes()[start:].decode(errors="replace").strip()
        return code, said.splitlines()[-1] if said else "it said nothing"


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Describes what became of all runs: their times, the failures and their logs."""
    width = max(len(outcome.job.workdir.name) for outcome in outcomes)
    lines = ["", f"{'run':{width}}  {'status':8}  time"]
    for job, status, took, reason in outcomes:
        lines.append(f"{job.workdir.name:{width}}  {status:8}  {_time(took)}")
        if reason:
            lines.append(f"  {reason} ({job.log})")
    statuses = [outcome.status for outcome in outcomes]
    counts = [
        f"{statuses.count(status)} {status}"
        for status in ("finished", "skipped", "diverged", "failed", "stopped")
        if status in statuses
    ]
    return "\n".join([*lines, f"{', '.join(counts)} in {_time(seconds)}"])


def _time(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"

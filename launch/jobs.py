"""The runs of a sweep on this machine, several at a time."""

import concurrent.futures
import json
import os
import pathlib
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


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
            return Outcome(job, "skipped", 0.0)
        if self.stopping:
            return Outcome(job, "stopped", 0.0)
        began = time.monotonic()
        environment = self.free.get()
        try:
            status, reason = self._train(job, place, environment)
        except OSError as error:  # no right to write the log, disk full, ...
            status, reason = "failed", str(error)
        finally:
            self.free.put(environment)
        outcome = Outcome(job, status, time.monotonic() - began, reason)
        after = f" after {_time(outcome.seconds)}"
        print(f"{place}: {status}{after} {reason}".rstrip(), flush=True)
        return outcome

    def _train(
        self, job: Job, place: str, environment: Mapping[str, str]
    ) -> tuple[str, str]:
        """Runs the command of a job; gives its status and what it said if it failed."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            start = log.tell()
            with self.lock:
                if self.stopping:
                    return "stopped", ""
                # A session of its own: Ctrl-C reaches it once, through `stop`.
                process = subprocess.Popen(
                    job.command,
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
        if code == 0 and is_finished(job):
            return "finished", ""
        if self.stopping:
            return "stopped", ""
        said = job.log.read_bytes()[start:].decode(errors="replace").strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        return "failed", f"exit code {code}: {last}"


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


def _time(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"

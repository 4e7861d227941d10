"""The training loop: prepares batches, dispatches steps, logs, evaluates, saves."""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from nwm_jax.errors import UserError
from nwm_jax.training import (
    checkpoint,
    dispatch,
    evaluating,
    non_finite,
    optimizer,
    room,
    signals,
)
from nwm_jax.training import mesh as meshes
from nwm_jax.training import state as states
from nwm_jax.training import workdir as workdirs
from nwm_jax.training import writers as sinks
from nwm_jax.training.display import Display, Lines, MakeDisplay, Silent
from nwm_jax.training.tally import Tally
from nwm_jax.training.task import Task

# A dispatch is made about this long: short enough that a signal is heard soon, long
# enough that the host costs nothing.
DISPATCH_SECONDS = 1.0


class _Called(Exception):
    """A signal came during an evaluation, which stops; all processes raise it."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class Result(NamedTuple):
    """How a call of `train` ended.

    Attributes:
      state: the last state, on the mesh.
      finished: True if the run is complete; False if a signal ended it early.
      reason: why it ended, one line; empty if all steps were done.
    """

    state: states.TrainState
    finished: bool
    reason: str


def train(
    config: Any,
    task: Task,
    workdir: str | pathlib.Path,
    writers: Sequence[sinks.Writer] = (),
    devices: Sequence[jax.Device] | None = None,
    display: MakeDisplay = Lines,
) -> Result:
    """Trains a task, or goes on with it where a checkpoint in the workdir stands.

    What a step computes depends on the config and the step alone: not on how often
    the run was interrupted, nor on the intervals of logging and saving; nor, up to
    rounding, on the number of devices.

    Args:
      config: the resolved config; read are `seed`, `batch_size`, `num_steps`,
        `steps_per_dispatch`, `log_every`, `checkpoint_every`, `optimizer`,
        `eval.every`, `eval.batch_size`, `tensorboard` and `wandb`; all of it goes to
        `config.json`.
      task: what to train.
      workdir: the folder of the run.
      writers: takers of metrics beside those that the config asks for.
      devices: the devices to use; None: all of them.
      display: makes what shows the progress, in process 0.

    Returns:
      The last state and how the run ended.

    Raises:
      signals.Ended: a signal came, in a verb; elsewhere the result says so.
      UserError: the config does not fit, the workdir belongs to another config or is
        in use, a checkpoint cannot be read or written, or another process is gone.
      NonFiniteError: loss or gradient norm was not finite; `nan_dump.npz` and
        `nan_dump.json` hold the batch and the metrics of that step.
    """
    mesh = meshes.make_mesh(devices)
    _check(config, mesh)
    transform = optimizer.build(config.optimizer, config.num_steps)
    shapes = states.abstract(task, transform, mesh)
    room.check(config, task, shapes, mesh)
    kept = "from its start"
    try:
        # Training is in float32, also where the user's own code has turned x64 on.
        with (
            jax.enable_x64(False),
            workdirs.locked(workdir) as folder,
            signals.collect() as listener,
        ):
            with workdirs.config_stays_if_refused(folder):
                notes = workdirs.claim(folder, config)
                # What the data do not have is refused before the first step. Not earlier:
                # it may simulate the data, which nobody needs whose workdir is refused.
                task.evaluations()
                run = _Run(config, task, folder, mesh, transform, listener, display)
                restored = run.saver.restore_latest(shapes)
            try:
                run.start(restored, notes, writers)
                return run.go()
            finally:
                if run.saved is not None:
                    kept = f"at step {run.saved}"
                run.close()
    except jax.errors.JaxRuntimeError as error:
        if not meshes.is_lost_peer(error):
            raise
        raise meshes.lost_peer(error, f"to go on {kept}") from error


class _Run:
    """One call of `train`: what its parts share."""

    def __init__(self, config, task, folder, mesh, transform, listener, display):
        self.config, self.task, self.folder, self.mesh = config, task, folder, mesh
        self.listener = listener
        self.group = dispatch.group_size(config.steps_per_dispatch)
        self.rows = meshes.process_rows(config.batch_size, mesh)
        self.rate = optimizer.learning_rate(config.optimizer, config.num_steps)
        followed = task.validation or task
        self.evaluate = evaluating.make_eval(followed, mesh, config.eval.batch_size)
        self.saver = checkpoint.Checkpointer(folder / "checkpoints", task.best)
        self.transform = transform
        self.saved: int | None = None
        # What was logged at a step whose evaluation a signal has put off.
        self.pending: dict[str, float] | None = None
        self.writers: list[sinks.Writer] = []
        self.make_display = display if meshes.is_primary() else Silent
        self.display: Display = Silent(0, 0, 0.0)  # until it starts

    def start(
        self,
        restored: tuple[states.TrainState, dict[str, Any]] | None,
        notes: list[str],
        writers: Sequence[sinks.Writer],
    ) -> None:
        """Takes or creates the state, opens the writers, says where it stands."""
        if restored is None:
            self.state = states.create(
                self.task, self.transform, self.config.seed, self.mesh
            )
            extra: dict[str, Any] = {}
        else:
            self.state, extra = restored
        self.step = int(self.state.step)
        self.saved = None if restored is None else self.step
        self.seconds = extra.get("seconds", 0.0)
        self.cpu_before = extra.get("cpu_seconds", 0.0) - time.process_time()
        self.stopped = extra.get("stopped", "")
        self.pending = extra.get("pending")
        self.tally = Tally(extra.get("tally"))
        seen = [row["step"] for row in sinks.read_metrics(self.folder)]
        self.display = self.make_display(
            self.config.num_steps,
            self.step,
            self.config.batch_size * self.task.units_per_example,
        )
        if meshes.is_primary():
            self.writers = sinks.build(self.config, self.folder, self.saved)
            self.writers += writers
        for note in notes + self.saver.notes:
            self.say(note)
        if restored is not None:
            again = f"; it had got to step {max(seen)}" if seen else ""
            lost = seen and max(seen) > self.step
            self.say(f"resuming at step {self.step}{again if lost else ''}")

    def say(self, text: str) -> None:
        """Prints one line, in process 0."""
        self.display.message(text)

    def go(self) -> Result:
        """Runs all steps that are left."""
        if self.pending is not None and self.conclude(self.pending, 0, again=True):
            return self.result()
        if self.stopped or self.step >= self.config.num_steps:
            self.say(f"nothing left to train: {self.stopped or 'all steps are done'}")
            return self.result()
        count = self.until_boundary(1)
        batches = self.prepare(self.step, count)
        began = time.perf_counter()
        compiled = dispatch.compile_dispatch(
            self.task, self.transform, self.mesh, self.state, batches
        )
        self.say(f"compiled the step in {time.perf_counter() - began:.1f} s")
        room.check_program(compiled, "batch_size", self.config.batch_size, self.mesh)
        if self.saved is None:
            self.score(self.config.eval.batch_size)
        with self.listener.hold():
            self.run_steps(compiled, batches, count)
        return self.result()

    def run_steps(
        self, compiled: jax.stages.Compiled, batches: Any, count: int
    ) -> None:
        """Runs steps to the end of the run, or until a signal has come."""
        key_data = states.key_data(self.config.seed)
        pace = wish = 1
        while True:
            began = time.perf_counter()
            wishes = dispatch.shard_wish(-self.listener.asked or wish, self.mesh)
            self.state, outcome = compiled(
                self.state, batches, np.int32(count), key_data, wishes
            )
            # The device works by now: make the next batches before waiting for it.
            start, asked = self.step, count
            self.step += count
            count = self.until_boundary(pace)
            batches = self.prepare(self.step, count) if count else None
            outcome = jax.device_get(outcome)
            seconds = time.perf_counter() - began
            if outcome.done < asked:
                self.fail(start + int(outcome.done), outcome, int(outcome.done))
            self.tally.add(outcome.metrics, asked, seconds)
            self.seconds += seconds
            names = sorted(outcome.metrics.keys() - {"grad_norm"})
            shown = {name: outcome.metrics[name][asked - 1] for name in names}
            self.display.update(self.step, shown, seconds)
            # All processes see the same `wish`, hence agree on pace and stop: below zero
            # it is a signal that one of them has received.
            pace = max(1, int(outcome.wish))
            wish = self.wish(seconds / asked)
            called = max(0, -int(outcome.wish))
            if jax.process_count() == 1:
                called = self.listener.asked
            if self.boundary(called):
                return

    def result(self) -> Result:
        """Returns how the run stands."""
        finished = bool(self.stopped) or self.step >= self.config.num_steps
        return Result(self.state, finished, self.stopped)

    def until_boundary(self, pace: int) -> int:
        """Returns the number of steps of a dispatch that passes no boundary."""
        config, step = self.config, self.step
        left = [config.num_steps - step]
        for every in (config.log_every, config.checkpoint_every, config.eval.every):
            if every:
                left.append(every - step % every)
        return min(pace, self.group, *left)

    def wish(self, seconds: float) -> int:
        """Returns the number of steps that take about `DISPATCH_SECONDS`."""
        steps = int(DISPATCH_SECONDS / max(seconds, 1e-9))
        return max(1, min(self.group, steps))

    def prepare(self, step: int, count: int) -> Any:
        """Makes this process's part of `count` batches and puts it on the devices."""
        return dispatch.make_batches(
            self.task, step, count, self.group, self.rows, self.mesh
        )

    def boundary(self, called: int) -> bool:
        """Logs, evaluates and saves where it is due; returns whether the run ends."""
        step = self.step
        due = step >= self.config.num_steps or step % self.config.log_every == 0
        return self.conclude(self.log() if due else {}, called)

    def conclude(self, row: dict[str, float], called: int, again: bool = False) -> bool:
        """Evaluates and saves where it is due; returns whether the run ends.

        Args:
          row: what was logged at this step.
          called: the signal that ends the run, on which all processes agree; or 0. The
            evaluation is then left to the command that goes on.
          again: whether this is that command, and what it finds is saved.
        """
        config, step, task = self.config, self.step, self.task
        last = step >= config.num_steps
        summary, best, self.pending = {}, False, None
        if config.eval.every and (last or step % config.eval.every == 0):
            try:
                if called:
                    raise _Called(called)
                summary = self.score(task.num_periodic, self.heed)
                best = self.saver.is_better(summary)
            except _Called as error:
                called, self.pending = error.number, row
        if (row or summary) and self.pending is None and not last:
            self.stopped = task.stop({**row, **summary}) or ""
        ends = last or bool(called) or bool(self.stopped)
        if ends or best or again or step % config.checkpoint_every == 0:
            self.save(summary)
            # One that came meanwhile needs no further step, and no second save.
            called = called or self.asked()
        if self.stopped:
            self.say(f"stopped at step {step}: {self.stopped}")
        if called:
            self.listener.asked = called
        if called and (not last or self.listener.ends):
            self.say(
                f"{self.listener.name} at step {step}: saved to {self.folder}; run the "
                "same command again to go on"
            )
        return ends or bool(called)

    def asked(self) -> int:
        """Returns the number of a signal that any process has received; or 0."""
        return meshes.largest(self.listener.asked)

    def heed(self, done: int, num: int) -> None:
        """Stops an evaluation between two batches if a signal has come."""
        if done < num and (number := self.asked()):
            raise _Called(number)

    def log(self) -> dict[str, float]:
        """Writes the means since the last row."""
        row = self.tally.take()
        frames = self.config.batch_size * self.task.units_per_example
        row["frames_per_s"] = row["steps_per_s"] * frames
        row["learning_rate"] = float(self.rate(self.step - 1))
        row["seconds"] = self.seconds
        row["cpu_seconds"] = self.cpu_before + time.process_time()
        sinks.write_all(self.writers, "train", self.step, row)
        return row

    def score(
        self, num: int, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, float]:
        """Evaluates a few examples and writes the row."""
        summary = self.evaluate(self.state.params, self.state.state, num, progress)
        flat = evaluating.flatten(summary)
        best = self.task.best
        if best and best[0] not in flat:
            raise UserError(
                f"the evaluation has no {best[0]!r} to choose the best checkpoint by; "
                f"it has {', '.join(sorted(flat))}"
            )
        sinks.write_all(self.writers, "eval", self.step, flat)
        shown = f", {best[0]} {flat[best[0]]:.4g}" if best else ""
        self.say(
            f"evaluated {min(num, self.task.num_eval)} examples at step "
            f"{self.step}{shown}"
        )
        return flat

    def save(self, summary: dict[str, float]) -> None:
        """Writes a checkpoint of this step."""
        extra = {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_before + time.process_time(),
            "stopped": self.stopped,
            "pending": self.pending,
            "tally": vars(self.tally),
        }
        self.saver.save(self.state, extra, summary)
        self.saved = self.step

    def fail(self, step: int, outcome: dispatch.Outcome, entry: int) -> None:
        """Writes the dump of a step that was not finite, and raises."""
        metrics = {k: float(values[entry]) for k, values in outcome.metrics.items()}
        kept = "there is no checkpoint yet"
        if self.saved is not None:
            kept = f"the checkpoint of step {self.saved} is intact"
        if meshes.is_primary():
            non_finite.dump(self.folder, self.config, self.task, step, metrics)
        raise non_finite.error(self.folder, step, metrics, kept)

    def close(self) -> None:
        """Closes the writers and restores the terminal."""
        self.display.close()
        for writer in self.writers:
            writer.close()


def _check(config: Any, mesh: Mesh) -> None:
    for field in ("num_steps", "log_every", "checkpoint_every"):
        if config[field] < 1:
            raise UserError(f"{field}={config[field]} must be 1 or more")
    if config.eval.every < 0:
        raise UserError(f"eval.every={config.eval.every} must be 0 (never) or more")
    meshes.check_batch_size(config.batch_size, mesh)
    sinks.check(config)

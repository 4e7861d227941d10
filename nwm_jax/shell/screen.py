"""What a verb shows on the screen: what will run, what it costs, what came out."""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from nwm_jax import native
from nwm_jax.config import presets
from nwm_jax.modules import functional
from nwm_jax.runs import workdirs
from nwm_jax.shell import machine
from nwm_jax.shell.progress import duration
from nwm_jax.training import mesh
from nwm_jax.training.task import Task

# A training step is about three forward passes, and on a CPU the convolutions of this
# program are about as fast as the machine's matrix product (docs/results/speed.md).
_PASSES, _EFFICIENCY = 3.0, 1.0
_LINE_SECONDS = 5.0
# Fields of eval.json that say what was evaluated.
_HEAD = ("protocol", "name", "dataset", "model", "preset", "seed", "step", "split")


def say(text: str) -> None:
    """Prints a line in process 0, at once."""
    if mesh.is_primary():
        print(text, flush=True)


def describe(config: ConfigDict, task: Task) -> str:
    """Describes the experiment, its size and the devices in a line; then the note."""
    params = jax.eval_shape(lambda: functional.split(task.init(jax.random.key(0)))[1])
    devices = jax.devices()
    shown = (
        f"{config.name}:{config.preset}  {functional.count(params):,} parameters, "
        f"batch {config.batch_size}, {config.num_steps:,} steps, "
        f"{len(devices)} {devices[0].platform} device{'s' * (len(devices) > 1)}"
        f" in {jax.process_count()} process{'es' * (jax.process_count() > 1)}"
    )
    return f"{shown}\n{task.note}" if task.note else shown


def forewarn(config: ConfigDict, task: Task) -> str | None:
    """Returns one line about the cost of a paper preset on a CPU, None elsewhere.

    Nothing of the data is opened or simulated for it.
    """
    if config.preset != "paper" or jax.default_backend() != "cpu":
        return None
    operations = task.forward_flops()
    if not operations:
        return None
    seconds = _PASSES * operations / (_EFFICIENCY * machine.matmul_rate())
    known = presets.definition(config)
    named = known.plain.name if known else config.name
    return (
        f"note: a step of this config takes about {seconds:.2g} s on this CPU, "
        f"all {config.num_steps:,} about {duration(seconds * config.num_steps)}; "
        f"--config={named}:laptop is made for such a machine"
    )


def advice() -> list[str]:
    """Returns lines on how to be faster on a CPU; none where nothing is missing."""
    if jax.default_backend() != "cpu":
        return []
    notes = []
    if problem := native.problem():
        notes.append(f"note: {problem}")
    if machine.huge_pages() == "if asked":
        notes.append(
            "note: with huge pages a step takes about an eighth less time on this CPU: "
            f"set {machine.ASK_FOR_HUGE_PAGES}"
        )
    return notes


def counter(verb: str) -> Callable[[int, int], None]:
    """Returns a `progress(done, total)` that prints a line now and then."""
    started = last = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= _LINE_SECONDS:
            left = (now - started) * (total - done) / done
            say(f"{verb} {done:,}/{total:,}  ETA {duration(left)}")
            last = now

    return count


def scoring(metric: str) -> Callable[[int, int], None]:
    """Returns the counter of the examples that a metric is computed of."""
    return counter(f"{metric}: evaluated")


def scores(task: Task | type[Task], report: Mapping[str, Any]) -> str:
    """Formats an evaluation next to its baselines without skill.

    Args:
      task: the run's task, or its class.
      report: what eval.json holds.
    """
    split = report.get("split", "test")
    what = f"{split} windows" if "relative_mse" in report else "examples"
    head = (
        f"step {report['step']}, protocol {report['protocol']}, "
        f"{report['num_windows']} {what}:"
    )
    shown = {
        name: value
        for name, value in report.items()
        if name not in _HEAD and not name.startswith("num_")
    }
    lines = [head, *task.headline(shown)]
    if workdirs.untrained(report):
        lines.append("  not trained: this preset shows that everything runs")
    return "\n".join(lines)


def pictures(paths: Sequence[pathlib.Path]) -> str:
    """Returns where the figures are."""
    return f"figures: {', '.join(str(path) for path in paths)}"

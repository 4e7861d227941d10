"""What a verb tells on the screen: what will run, what it costs, what came out."""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from nwm_jax import native
from nwm_jax.config import presets
from nwm_jax.modules import functional
from nwm_jax.shell import machine
from nwm_jax.shell.progress import duration
from nwm_jax.training import mesh
from nwm_jax.training.task import Task

# A training step is about three forward passes, and on a CPU the convolutions of this
# program are about as fast as the machine's matrix product (docs/results/speed.md).
_PASSES, _EFFICIENCY = 3.0, 1.0
_LINE_SECONDS = 5.0
# Numbers of eval.json that are no scores, or stand in the first line.
_TOLD = (
    *("seed", "step", "num_windows", "cpu_seconds"),
    *("num_parameters", "num_parameters_original", "num_weights"),
)
# Groups of eval.json that are told in a line each.
_GROUPS = (
    *("valid", "test", "background", "wave_line"),
    *("mse", "relative_mse", "table_units"),
)


def say(text: str) -> None:
    """Prints a line in process 0, at once."""
    if mesh.is_primary():
        print(text, flush=True)


def describe(config: ConfigDict, task: Task) -> str:
    """One line: the experiment, its size and the devices; then the task's note."""
    params = jax.eval_shape(lambda: functional.split(task.init(jax.random.key(0)))[1])
    devices = jax.devices()
    told = (
        f"{config.name}:{config.preset}  {functional.count(params):,} parameters, "
        f"batch {config.batch_size}, {config.num_steps:,} steps, "
        f"{len(devices)} {devices[0].platform} device{'s' * (len(devices) > 1)}"
        f" in {jax.process_count()} process{'es' * (jax.process_count() > 1)}"
    )
    return f"{told}\n{task.note}" if task.note else told


def forewarn(config: ConfigDict, task: Task) -> str | None:
    """One line about the cost of a paper preset on a CPU, None elsewhere.

    Nothing of the data is opened or simulated for it.
    """
    if config.preset != "paper" or jax.default_backend() != "cpu":
        return None
    seconds = _PASSES * task.forward_flops() / (_EFFICIENCY * machine.matmul_rate())
    return (
        f"note: a step of this config takes about {seconds:.2g} s on this CPU, "
        f"all {config.num_steps:,} about {duration(seconds * config.num_steps)}; "
        f"--config={presets.template(config).name}:laptop is made for such a machine"
    )


def advice() -> list[str]:
    """Lines that tell how to be faster on a CPU; none where nothing is missing."""
    if jax.default_backend() != "cpu":
        return []
    notes = []
    if not native.AVAILABLE:
        notes.append(
            f"note: convolutions are XLA's, which are several times slower: "
            f"{native.REMEDY}"
        )
    if machine.huge_pages() == "if asked":
        notes.append(
            "note: with huge pages a step takes about an eighth less time on this CPU: "
            f"set {machine.ASK_FOR_HUGE_PAGES}"
        )
    return notes


def counter(verb: str) -> Callable[[int, int], None]:
    """Gives a `progress(done, total)` that prints a line now and then."""
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
    """Gives the counter of the examples that a metric is computed of."""
    return counter(f"{metric}: evaluated")


def scores(report: dict[str, Any]) -> str:
    """What an evaluation found, beside what takes no skill, one line each."""
    protocol, windows = report["protocol"], report["num_windows"]
    split = report.get("split", "test")
    what = f"{split} windows" if "relative_mse" in report else "examples"
    lines = [f"step {report['step']}, protocol {protocol}, {windows} {what}:"]
    numbers = {k: v for k, v in report.items() if k not in _TOLD and _is_number(v)}
    lines += [_line(name, {"": value}) for name, value in numbers.items()]
    for group in _GROUPS:
        if isinstance(report.get(group), Mapping):
            lines.append(_line(group, report[group]))
    for direction in ("backward", "combined"):
        if direction in report:
            found = dict(report[direction])
            found.pop("per_frame", None)
            lines.append(_line(direction, found))
    for group in ("vpt", "vpt_long"):
        if vpt := report.get(group):
            names = ("forward_abs", "backward_abs", "mean_image_abs", "last_frame_abs")
            frames = {name[:-4]: vpt[name] for name in names if name in vpt}
            of = "".join(f" of {vpt[key]}" for key in ("segment", "data") if key in vpt)
            lines.append(f"{_line(group, frames)}  (frames{of}, medians of 5)")
    energy = report.get("energy", {})
    for name in ("drift", "gain", "readable"):
        if name in energy:
            lines.append(_line(f"energy {name}", energy[name]))
    if "model_drift" in energy:
        lines.append(_line("own energy", {"drift": energy["model_drift"]}))
    if waves := report.get("waves"):
        told = (
            "coherence",
            "one_sided_coherence",
            "travelling_index",
            "wave_number",
            "frequency",
            "speed",
        )
        lines.append(_line("waves", {k: waves[k] for k in told if k in waves}))
    if found := report.get("orientation"):
        told = ("same_label", "chance", "unselective", "pinwheels")
        lines.append(_line("orientation", {k: found[k] for k in told}))
    if induced := report.get("induced"):
        told = ("slope", "slope_mean", "slope_std", "backward", "monotonic")
        lines.append(_line("induced", {k: induced[k] for k in told}))
    if "symetric" in report:
        lines.append(_line("symetric", report["symetric"]))
    return "\n".join(lines)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _line(name: str, values: dict[str, float | None]) -> str:
    """A name and numbers; what eval.json holds as null is a dash."""
    told = (f"{k} {'-' if v is None else f'{v:.4g}'}" for k, v in values.items())
    return f"  {name:15s}  {'  '.join(told)}"


def pictures(paths: Sequence[pathlib.Path]) -> str:
    """Where the figures are."""
    return f"figures: {', '.join(str(path) for path in paths)}"

"""Measures a training step of a config: real batches, the very program of training.

With --compare also the plain formulation (XLA's convolution and its automatic
gradient, everything else equal) in turn with it: both must return the same loss and
gradients, to 1e-5 in the norm of every array or to what single precision costs the plain
one, or the exit code is 1 and they are named. On CPUs a third one, the fallback, is what
runs where the compiled convolutions are missing: the plain formulation with the options
of `modules.fallback`.

With --against the steps of another config in turn with it, in the same process, so that
both see the same machine.

Operations are those of the plain formulation's loss and gradient without
rematerialisation, so that a program that computes something twice gains nothing by it.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError
from nwm_jax.modules import fallback, functional
from nwm_jax.shell import cli, memory, screen
from nwm_jax.shell import machine as measure
from nwm_jax.shell.config_flags import ConfigParser
from nwm_jax.training import dispatch, flops, optimizer
from nwm_jax.training import mesh as meshes
from nwm_jax.training import state as states
from nwm_jax.training.registry import build
from nwm_jax.training.task import Task

TOLERANCE = 1e-5
OTHERS = ("plain", "fallback")

# Times the rounding error of the plain formulation: two sums of the same numbers in
# another order differ by about as much.
_ALLOWED = 1.5

FLAGS = flags.FlagValues()
CONFIG = cli.config_flag(FLAGS)
COMPARE = flags.DEFINE_bool(
    "compare",
    False,
    "also measure the plain formulation, and check that both compute the same",
    flag_values=FLAGS,
)
AGAINST = flags.DEFINE(
    ConfigParser(),
    "against",
    None,
    "another experiment, written like --config: its steps are timed in turn",
    flag_values=FLAGS,
    serializer=flags.ArgumentSerializer(),
)
REPEATS = flags.DEFINE_integer(
    "repeats",
    5,
    "dispatches that are timed after a first one that does not count",
    lower_bound=1,
    flag_values=FLAGS,
)
JSON = flags.DEFINE_bool(
    "json", False, "print one line of JSON and nothing else", flag_values=FLAGS
)


def main(argv: list[str]) -> int:
    """Runs the command; 1 if the two formulations do not agree."""
    del argv
    if COMPARE.value and AGAINST.value is not None:
        raise UserError("--compare and --against are two measurements: leave one away")
    if AGAINST.value is not None:
        validate(AGAINST.value)
    memory.keep_freed()
    measured = run(
        CONFIG.value,
        REPEATS.value,
        compare=COMPARE.value,
        against=AGAINST.value,
        counter=None if JSON.value else screen.counter,
    )
    print(json.dumps(measured) if JSON.value else describe(measured))
    return 1 if measured.get("disagree") else 0


def run(
    config: ConfigDict,
    repeats: int,
    compare: bool = False,
    against: ConfigDict | None = None,
    counter: Callable[[str], Callable[[int, int], None]] | None = None,
) -> dict[str, Any]:
    """Measures a config on all devices of this process.

    Args:
      config: a resolved config of any task.
      repeats: how many dispatches are timed.
      compare: whether to measure the plain formulation too.
      against: another config, whose steps are measured in turn.
      counter: see `training.registry.build`.

    Returns:
      "step_ms" (median), "step_ms_least", "step_ms_most", "processor_ms" (of all cores),
      "batch_ms" (the host makes the batch of a step, while the device works),
      "frames_per_s", "gflop" of a step, "gflops", "matmul_gflops", "temp_mb" (memory
      of the compiled step beside its arguments and results, per device; None where
      XLA does not say), "compile_s" (nothing read from the cache), "device" and what the
      numbers depend on. With `compare` also "plain_step_ms", "plain_temp_mb",
      "plain_compile_s", on a CPU the same of "fallback", "ratio" (plain over ours),
      "errors" (of the loss and, in the norm, of every array of the gradient, relative,
      absolute where it is zero) and
      "disagree", the names of those above `TOLERANCE`. The plain formulation loses up to
      five digits in single precision. So where the two differ by more than the tolerance
      it is computed again in double precision: the nearer one counts, and what single
      precision costs the plain formulation is allowed to ours, "rounding" by name. With
      `against` also "against" (its name), "against_step_ms", "against_temp_mb",
      "against_compile_s", "against_processor_ms" and "against_ratio" (its median step
      over ours).

    Raises:
      UserError: a step that is not finite, or what `training.registry.build` finds wrong.
    """
    mesh = meshes.make_mesh()
    meshes.check_batch_size(config.batch_size, mesh)
    task = build(config, counter)
    ours = _Step(config, task, mesh)
    others = {}
    if compare:
        plain = _changed(config, conv="xla")
        others["plain"] = _Step(config, build(plain), mesh, options={})
        if jax.default_backend() == "cpu":
            others["fallback"] = _Step(
                config, build(plain), mesh, options=fallback.OPTIONS
            )
    if against is not None:
        meshes.check_batch_size(against.batch_size, mesh)
        others["against"] = _Step(against, build(against, counter), mesh)
    for _ in range(repeats + 1):
        for step in (ours, *others.values()):
            step.go()
    frames = config.batch_size * task.units_per_example
    operations = _operations(config)
    step_ms = ours.times("seconds")
    machine = measure.machine()
    measured = {
        "benchmark": "train",
        "config": config.name,
        "protocol": config.protocol,
        "conv": config.get("conv"),
        "batch_size": config.batch_size,
        "frames": frames,
        "steps_per_dispatch": ours.group,
        "repeats": repeats,
        "step_ms": step_ms.median,
        "step_ms_least": step_ms.least,
        "step_ms_most": step_ms.most,
        "processor_ms": ours.times("processor").median,
        "batch_ms": ours.times("batch").median,
        "frames_per_s": 1e3 * frames / step_ms.median,
        "gflop": operations / 1e9,
        "gflops": operations / 1e6 / step_ms.median,
        "matmul_gflops": measure.matmul_rate() / 1e9,
        "temp_mb": ours.temp_mb,
        "compile_s": ours.compile_s,
        "device": machine["device"],
        "machine": machine,
    }
    for name, other in others.items():
        measured |= {
            f"{name}_step_ms": other.times("seconds").median,
            f"{name}_step_ms_least": other.times("seconds").least,
            f"{name}_temp_mb": other.temp_mb,
            f"{name}_compile_s": other.compile_s,
        }
    if against is not None:
        measured |= {
            "against": f"{against.name} ({against.protocol}), batch {against.batch_size}",
            "against_processor_ms": others["against"].times("processor").median,
            "against_ratio": measured["against_step_ms"] / step_ms.median,
        }
    if compare:
        errors, rounding = _errors(config, task, others["plain"].task)
        measured |= {
            "ratio": measured["plain_step_ms"] / step_ms.median,
            "errors": errors,
            "rounding": rounding,
            "disagree": [
                name
                for name, error in errors.items()
                if not error <= max(TOLERANCE, _ALLOWED * rounding.get(name, 0.0))
            ],
        }
    return measured


def describe(measured: dict[str, Any]) -> str:
    """Returns the numbers of `run`, some lines of text."""

    def memory(name: str) -> str:
        value = measured[name]
        return "unknown" if value is None else f"{value:.4g} MB"

    names = ("config", "protocol", "batch_size", "frames", "steps_per_dispatch")
    config, protocol, batch, frames, steps = (measured[name] for name in names)
    share = measured["gflops"] / measured["matmul_gflops"]
    shown = {
        "step": f"{measured['step_ms']:.4g} ms ({measured['step_ms_least']:.4g} to "
        f"{measured['step_ms_most']:.4g}; processors {measured['processor_ms']:.4g})",
        "batch, meanwhile": f"{measured['batch_ms']:.4g} ms",
        "frames/s": f"{measured['frames_per_s']:.4g}",
        "GFLOP/s": f"{measured['gflops']:.4g} ({share:.2f} of a large matrix product's "
        f"{measured['matmul_gflops']:.4g}), {measured['gflop']:.4g} GFLOP a step",
        "temporary memory": memory("temp_mb"),
        "compiled in": f"{measured['compile_s']:.3g} s",
    }
    if "ratio" in measured:
        wrong, errors = measured["disagree"], measured["errors"]
        worst = max(errors, key=errors.get)
        limit = f"{TOLERANCE:g}"
        if errors[worst] > TOLERANCE:
            limit = "the rounding of the plain formulation"
        others = [name for name in OTHERS if f"{name}_step_ms" in measured]
        for name in others:
            shown[f"{name} step"] = (
                f"{measured[f'{name}_step_ms']:.4g} ms "
                f"({measured[f'{name}_step_ms_least']:.4g} at least), "
                f"{memory(f'{name}_temp_mb')}, "
                f"compiled in {measured[f'{name}_compile_s']:.3g} s"
            )
        ratios = [measured[f"{name}_step_ms"] / measured["step_ms"] for name in others]
        shown |= {
            "ratio": ", ".join(
                f"{ratio:.2f} ({name})"
                for name, ratio in zip(others, ratios, strict=True)
            ),
            "loss, gradients": f"equal to {limit}: at most {errors[worst]:.2g} ({worst})",
        }
        if wrong:
            named = ", ".join(f"{name} {errors[name]:.2g}" for name in wrong)
            shown["loss, gradients"] = f"NOT equal to {TOLERANCE:g}: {named}"
    if "against" in measured:
        shown["against"] = (
            f"{measured['against']}: {measured['against_step_ms']:.4g} ms (processors "
            f"{measured['against_processor_ms']:.4g}), {memory('against_temp_mb')}, "
            f"compiled in {measured['against_compile_s']:.3g} s"
        )
        shown["ratio"] = f"{measured['against_ratio']:.2f} (against over config)"
    lines = [measure.describe(measured["machine"])]
    lines.append(
        f"{config} ({protocol}), batch {batch}, {frames:,} frames a step, {steps} "
        f"step{'s' * (steps > 1)} a dispatch"
    )
    lines += [f"  {name:18s}{text}" for name, text in shown.items()]
    return "\n".join(lines)


class _Step:
    """A compiled dispatch, and what calling it took."""

    def __init__(
        self,
        config: ConfigDict,
        task: Task,
        mesh: jax.sharding.Mesh,
        options: dict[str, str] | None = None,
    ) -> None:
        self.task, self.mesh = task, mesh
        self.group = dispatch.group_size(config.steps_per_dispatch)
        self.rows = meshes.process_rows(config.batch_size, mesh)
        self.key_data = states.key_data(config.seed)
        self.taken: list[dict[str, float]] = []
        transform = optimizer.build(config.optimizer, config.num_steps)
        self.state = states.create(task, transform, config.seed, mesh)
        batches = self.prepare()
        with measure.without_cache():
            self.compiled, self.compile_s, _ = measure.timed(
                lambda: dispatch.compile_dispatch(
                    task, transform, mesh, self.state, batches, options
                )
            )
        analysis = self.compiled.memory_analysis()
        self.temp_mb = analysis and analysis.temp_size_in_bytes / 1e6

    def prepare(self) -> Any:
        """Returns the batches of the next dispatch."""
        start = len(self.taken) * self.group
        return dispatch.make_batches(
            self.task, start, self.group, self.group, self.rows, self.mesh
        )

    def go(self) -> None:
        """Runs one dispatch."""
        batches, batch, _ = measure.timed(self.prepare)
        wishes = dispatch.shard_wish(1, self.mesh)
        (self.state, outcome), seconds, processor = measure.timed(
            lambda: self.compiled(
                self.state, batches, np.int32(self.group), self.key_data, wishes
            )
        )
        if outcome.done < self.group:
            step = len(self.taken) * self.group + int(outcome.done) + 1
            raise UserError(f"loss or gradient of step {step} is not finite")
        self.taken.append({"seconds": seconds, "processor": processor, "batch": batch})

    def times(self, name: str) -> measure.Times:
        """Milliseconds of a step, without the first dispatch."""
        taken = [row[name] for row in self.taken[1:]]
        return measure.summarise(taken, 1e3 / self.group)


def _changed(config: ConfigDict, **fields: Any) -> ConfigDict:
    """Returns the config with the fields changed that it has."""
    copy = config.copy_and_resolve_references()
    with copy.unlocked():
        copy.update({name: value for name, value in fields.items() if name in copy})
    return copy


def _gradient(config: ConfigDict, task: Task) -> tuple[Callable, tuple]:
    """Returns a function of loss and gradient, and its arguments: the first batch's."""
    key = states.init_key(jax.numpy.asarray(states.key_data(config.seed)))

    def gradient(params: Any, state: Any, batch: Any) -> tuple[jax.Array, Any]:
        compute = jax.value_and_grad(task.loss, has_aux=True)
        (loss, _), gradients = compute(params, state, batch, key)
        return loss, gradients

    _, params, state = functional.split(jax.jit(task.init)(key))
    return gradient, (params, state, task.batch(0, np.arange(config.batch_size)))


def _operations(config: ConfigDict) -> int:
    """Operations of the plain formulation's loss and gradient, nothing done twice."""
    plain = _changed(config, conv="xla", remat=0)
    gradient, arguments = _gradient(plain, build(plain))
    return flops.count(gradient, *arguments)


def _errors(
    config: ConfigDict, task: Task, plain: Task
) -> tuple[dict[str, float], dict[str, float]]:
    """Compares loss and gradients with the plain ones, and those with exact ones.

    The latter is empty where the former are within the tolerance, see `run`.
    """
    ours, theirs = (_named(*_gradient(config, each)) for each in (task, plain))
    errors = {name: _distance(ours[name], theirs[name]) for name in theirs}
    if max(errors.values()) <= TOLERANCE:
        return errors, {}
    gradient, arguments = _gradient(config, plain)
    with jax.enable_x64(True):
        exact = _named(gradient, jax.tree.map(_in_double, arguments))
    nearer = {
        name: min(error, _distance(ours[name], exact[name]))
        for name, error in errors.items()
    }
    return nearer, {name: _distance(theirs[name], exact[name]) for name in theirs}


def _named(gradient: Callable, arguments: tuple) -> dict[str, np.ndarray]:
    loss, gradients = jax.device_get(jax.jit(gradient)(*arguments))
    leaves = jax.tree_util.tree_flatten_with_path(gradients)[0]
    return {"loss": loss} | {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
    }


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    other = np.asarray(other, np.float64)
    error = np.linalg.norm(np.ravel(one - other))
    return float(error / (np.linalg.norm(np.ravel(other)) or 1.0))


def _in_double(leaf: Any) -> np.ndarray:
    leaf = np.asarray(leaf)
    return leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf


if __name__ == "__main__":
    cli.run(main, FLAGS)

"""Measures how fast trajectories are simulated and drawn: warm, on the CPU.

A repetition simulates a chunk of 1,024 trajectories in float64 and draws every frame
as bytes, as `python -m nwm_jax.generate` does before it compresses and writes them.
"""

import collections
import functools
import json
from typing import Any

from absl import flags

from nwm_jax.data import render, suite, trajectories
from nwm_jax.errors import UserError
from nwm_jax.shell import cli
from nwm_jax.shell import machine as measure

# Seconds per trajectory of the program that the published files were made with
# (dm_hamiltonian_dynamics_suite under JAX 0.10.2, its own setting steps_per_dt = 10,
# rendering included), warm, the fastest of several, on two cores; by number of steps.
ORIGINAL = {
    60: {
        "mass_spring": 0.28,
        "mass_spring_colors_friction": 0.43,
        "pendulum": 0.36,
        "pendulum_colors": 0.46,
        "double_pendulum": 0.75,
        "double_pendulum_colors": 0.67,
        "two_body": 1.6,
        "two_body_colors": 1.7,
        "matching_pennies": 0.14,
        "rock_paper_scissors": 0.11,
    },
    511: {
        "mass_spring": 3.9,
        "mass_spring_colors_friction": 3.6,
        "pendulum": 4.4,
        "pendulum_colors": 3.8,
        "double_pendulum": 7.2,
        "double_pendulum_colors": 10.0,
        "two_body": 21.0,
        "two_body_colors": 12.0,
        "matching_pennies": 1.9,
        "rock_paper_scissors": 1.2,
    },
}

PARTS = ("simulate", "render", "total", "processor")

FLAGS = flags.FlagValues()
DATASET = flags.DEFINE_list(
    "dataset",
    ["mass_spring", "pendulum", "double_pendulum", "two_body"],
    "names of datasets, separated by commas",
    flag_values=FLAGS,
)
NUM_STEPS = flags.DEFINE_integer(
    "num_steps", 60, "frames that follow the first of a trajectory", flag_values=FLAGS
)
REPEATS = flags.DEFINE_integer(
    "repeats", 5, "repetitions after a first one that does not count", flag_values=FLAGS
)
JSON = flags.DEFINE_bool(
    "json", False, "print one line of JSON and no table", flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    for name, value in (("num_steps", NUM_STEPS.value), ("repeats", REPEATS.value)):
        if value < 1:
            raise UserError(f"{name} is {value}: it must be at least 1")
    if not DATASET.value:
        raise UserError("--dataset names none: give one, or leave the flag out")
    specs = [suite.get(name) for name in DATASET.value]
    machine = measure.machine()
    if not JSON.value:
        print(measure.describe(machine))
        print(_HEADER)
    rows = []
    for spec in specs:
        rows.append(run(spec, NUM_STEPS.value, REPEATS.value))
        if not JSON.value:
            print(_line(rows[-1]), flush=True)
    if JSON.value:
        settings = {"num_steps": NUM_STEPS.value, "repeats": REPEATS.value}
        report = {"benchmark": "data", "machine": machine, **settings}
        print(json.dumps(report | {"unit": "ms per trajectory", "datasets": rows}))


def run(spec: suite.Spec, num_steps: int, repeats: int) -> dict[str, Any]:
    """Measures one dataset.

    Args:
      spec: the dataset.
      num_steps: frames that follow the first of a trajectory.
      repeats: how often, each time other trajectories.

    Returns:
      `dataset`; median, least and most milliseconds per trajectory of each of `PARTS`
      ("processor": spent by all cores, for both together);
      `original`, the seconds per trajectory of the original program, and `ratio`, how
      many times as fast this is, None where the original was not measured.
    """
    num_frames, seconds = num_steps + 1, collections.defaultdict(list)

    def simulate(chunk: int) -> dict:
        return trajectories.simulate_chunk(
            spec, "train", chunk, num_frames=num_frames, dt=spec.dt, seed=0
        )

    def draw(arrays: dict) -> None:
        for _ in render.in_bytes(spec.images, arrays, num_frames):
            pass

    draw(simulate(0))
    for chunk in range(1, repeats + 1):
        arrays, *simulating = measure.timed(functools.partial(simulate, chunk))
        _, *drawing = measure.timed(functools.partial(draw, arrays))
        total, processor = map(sum, zip(simulating, drawing, strict=True))
        took = (simulating[0], drawing[0], total, processor)
        for part, second in zip(PARTS, took, strict=True):
            seconds[part].append(second)
    size = trajectories.chunk_size(num_frames)
    times = {part: measure.summarise(seconds[part], 1e3 / size) for part in PARTS}
    original = ORIGINAL.get(num_steps, {}).get(spec.name)
    return {
        "dataset": spec.name,
        **{part: value._asdict() for part, value in times.items()},
        "original": original,
        "ratio": original and 1e3 * original / times["total"].median,
    }


_HEADER = (
    f"{'ms per trajectory':31}  {'simulate':>9}  {'render':>9}  {'total':>9}  "
    f"{'processor':>9}  {'total from':>10}  {'to':>6}  {'original':>8}  {'ratio':>6}"
)


def _line(row: dict[str, Any]) -> str:
    medians = "  ".join(f"{row[part]['median']:9.3f}" for part in PARTS)
    spread = f"{row['total']['least']:10.3f}  {row['total']['most']:6.3f}"
    original, ratio = "", ""
    if row["original"]:
        original, ratio = f"{1e3 * row['original']:.0f}", f"{row['ratio']:.0f}"
    return f"{row['dataset']:31}  {medians}  {spread}  {original:>8}  {ratio:>6}"


if __name__ == "__main__":
    cli.run(main, FLAGS)

"""Measures how fast a long recording is analysed: filter, phase, statistics, fronts.

The recording, a plane wave in white noise on 10 x 10 sites at 1,000 frames a second, is
a float32 memory map in a temporary file, and is processed in pieces as
`python -m nwm_jax.analyse` does with records of more than 16 million samples.
"""

import collections
import json
import pathlib
import tempfile

import numpy as np
from absl import flags

from nwm_jax.errors import UserError
from nwm_jax.shell import cli
from nwm_jax.shell import machine as measure
from nwm_jax.waves import pieces, prepare
from nwm_jax.waves.cycles import measure_cycles
from nwm_jax.waves.fronts import front_smoothing, fronts_of
from nwm_jax.waves.sites import grid_sites
from nwm_jax.waves.summary import site_statistics

PARTS = ("signal", "statistics", "fronts", "total")
_SIDE, _FS = 10, 1000.0
_BAND = (8.0, 12.0)

FLAGS = flags.FlagValues()
FRAMES = flags.DEFINE_integer(
    "frames",
    90_000,
    "length of the recording, at 1,000 frames a second",
    lower_bound=4000,
    upper_bound=10**9,
    flag_values=FLAGS,
)
REPEATS = flags.DEFINE_integer(
    "repeats",
    3,
    "repetitions after a first one that does not count",
    lower_bound=1,
    flag_values=FLAGS,
)
JSON = flags.DEFINE_bool(
    "json", False, "print one line of JSON and no table", flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    frames, repeats = FRAMES.value, REPEATS.value
    machine = measure.machine()
    clock, spent = run(frames, repeats)
    samples = frames * _SIDE**2
    if JSON.value:
        times = {
            "clock": {part: value._asdict() for part, value in clock.items()},
            "processor": {part: value._asdict() for part, value in spent.items()},
        }
        settings: dict[str, int] = {
            "frames": frames,
            "repeats": repeats,
            "samples": samples,
        }
        report = {"benchmark": "waves", "machine": machine, "unit": "s"}
        print(json.dumps(report | settings | times))
        return
    print(measure.describe(machine))
    print(f"{frames:,} x {_SIDE} x {_SIDE} float32: {samples:,} samples")
    print(f"{'seconds':12}  {'clock':>7}  {'from':>7}  {'to':>7}  {'processor':>9}")
    for part in PARTS:
        median, least, most = clock[part]
        columns = f"{median:7.2f}  {least:7.2f}  {most:7.2f}  {spent[part].median:9.2f}"
        print(f"{part:12}  {columns}")


def run(frames: int, repeats: int) -> tuple[dict[str, measure.Times], ...]:
    """Measures the analysis of a recording.

    Args:
      frames: its length.
      repeats: how often.

    Returns:
      Seconds by the clock, and of all processors together, of each of `PARTS`.
    """
    clock, spent = collections.defaultdict(list), collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "recording.npy"
        np.save(path, recording(frames))
        data = np.load(path, mmap_mode="r")
        for repetition in range(repeats + 1):
            took = _analyse(data)
            seconds, processor = zip(*took.values(), strict=True)
            took["total"] = sum(seconds), sum(processor)
            if repetition:
                for part, (second, busy) in took.items():
                    clock[part].append(second)
                    spent[part].append(busy)
    return tuple(
        {part: measure.summarise(times[part]) for part in PARTS}
        for times in (clock, spent)
    )


def recording(frames: int) -> np.ndarray:
    """Returns float32 [frames, 10, 10], a wave of 10 Hz in white noise of half of it."""
    noise = np.random.default_rng(0).standard_normal((frames, _SIDE, _SIDE), np.float32)
    t = np.arange(frames)[:, None, None] / _FS
    i, j = np.indices((_SIDE, _SIDE))
    wave = np.cos(2 * np.pi * (10 * t - 0.05 * i - 0.03 * j))
    return wave.astype(np.float32) + 0.5 * noise


def _analyse(data: np.ndarray) -> dict[str, tuple[float, float]]:
    """Seconds by the clock and of the processors of each part."""

    def make_signal() -> np.ndarray:
        plan = prepare.plan(data, prepare.Steps())
        return pieces.piecewise_signal(data, plan, fs=_FS, band=_BAND)

    def make_statistics():
        cycles = measure_cycles(signal, sites)
        site_statistics(signal, sites, fs=_FS, cycles=cycles)
        return cycles

    def find() -> int:
        scale = front_smoothing(cycles, sites)
        return len(fronts_of(signal, sites, fs=_FS, scale=scale).time)

    sites = grid_sites(np.ones(data.shape[1:], bool))
    signal, *times = measure.timed(make_signal)
    cycles, *more = measure.timed(make_statistics)
    count, *last = measure.timed(find)
    if not count:
        raise UserError(f"no wave in {len(data)} frames: use more --frames")
    each = ((a, b) for a, b in (times, more, last))
    return dict(zip(PARTS, each, strict=False))


if __name__ == "__main__":
    cli.run(main, FLAGS)

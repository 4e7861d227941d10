"""Writes a dataset of the suite in the layout of the published files.

The folder --out then holds features.txt, train.tfrecord and test.tfrecord, and is what
--config.data.path takes. Interrupted, the same command goes on where it stopped and
ends with the same bytes.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

import contextlib
import io
import pathlib
import sys
import time
from typing import Any, TextIO

import numpy as np
from absl import flags
from rich import console, progress

from nwm_jax import files
from nwm_jax.data import generation, suite
from nwm_jax.data.request import Request, records, simulator
from nwm_jax.data.specs import BoxSpec
from nwm_jax.errors import UserError
from nwm_jax.figures import contact_sheet, style
from nwm_jax.shell import cli
from nwm_jax.shell.progress import duration, number

_LINE_SECONDS = 10.0
_NUM_CLIPS, _NUM_ROWS = 12, 2  # of an animation; of a picture
_MOST_FRAMES = 120  # of an animation
_CLIP_STEPS = 119  # of --clips: what forecasts and their errors need

FLAGS = flags.FlagValues()


_LONG = "_long_trajectory"
DATASET = flags.DEFINE_string(
    "dataset",
    None,
    f"name of the dataset: {', '.join(n for n in suite.DATASETS if _LONG not in n)}; "
    f"test sets of long trajectories: "
    f"{', '.join(n for n in suite.DATASETS if _LONG in n)}",
    required=True,
    flag_values=FLAGS,
)
NUM_TRAIN = flags.DEFINE_integer(
    "num_train",
    None,
    "trajectories of the training split (default: 50000; 0 of a _long_trajectory set)",
    flag_values=FLAGS,
)
NUM_TEST = flags.DEFINE_integer(
    "num_test",
    None,
    "trajectories of the test split (default: 20000; 500 of a _long_trajectory set)",
    flag_values=FLAGS,
)
NUM_STEPS = flags.DEFINE_integer(
    "num_steps",
    None,
    "frames that follow the first of a trajectory (default: 511; 1023 of a "
    "_long_trajectory set, 255 of a Lennard-Jones box)",
    flag_values=FLAGS,
)
DT = flags.DEFINE_float(
    "dt",
    None,
    "time between frames (default: the dataset's own, 0.05 for the mechanical ones)",
    flag_values=FLAGS,
)
SEED = flags.DEFINE_integer("seed", 0, "seed of the trajectories", flag_values=FLAGS)
OUT = flags.DEFINE_string("out", None, "folder to write", flag_values=FLAGS)
FORMAT = flags.DEFINE_enum(
    "format",
    "tfrecord",
    generation.FORMATS,
    "tfrecord: as published; states: the same arrays without images, each in a file "
    "<name>-<split>.npy that numpy can memory-map",
    flag_values=FLAGS,
)
OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "replace the dataset that the folder holds; the very same one, if it is "
    "unfinished, goes on",
    flag_values=FLAGS,
)
CLIPS = flags.DEFINE_integer(
    "clips",
    None,
    "write so many movies of the test split as uint8 [N, T, H, W, C] to the file "
    "--out=NAME.npy instead of a folder; of 120 frames unless --num_steps is given",
    lower_bound=1,
    flag_values=FLAGS,
)
PREVIEW = flags.DEFINE_string(
    "preview",
    None,
    "draw a few trajectories into this .gif or .webp (of 120 frames at most), or a "
    ".png of one row each; --out is not needed then",
    flag_values=FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs the verb."""
    del argv
    if not OUT.value and not PREVIEW.value:
        raise UserError("--out is required: the folder to write (or --preview=FILE)")
    request = _request()
    request.check()
    if PREVIEW.value:
        print(f"preview: {_preview(request, PREVIEW.value)}")
    if CLIPS.value and OUT.value:
        print(f"clips: {_write_clips(request, OUT.value)}")
    elif OUT.value:
        with contextlib.closing(Bar()) as bar:
            folder = generation.generate(
                request,
                OUT.value,
                format=FORMAT.value,
                overwrite=OVERWRITE.value,
                progress=bar,
            )
        print(f"{request.dataset}: {folder}")


def _request() -> Request:
    spec = suite.get(DATASET.value)
    long = spec.name.endswith(_LONG)

    num_steps = 255 if isinstance(spec, BoxSpec) else 511
    if CLIPS.value:
        steps = _CLIP_STEPS if NUM_STEPS.value is None else NUM_STEPS.value
        dt = spec.dt if DT.value is None else DT.value
        return Request(spec.name, 0, CLIPS.value, steps, dt, SEED.value)

    def either(flag: flags.FlagHolder, usual: float, otherwise: float) -> Any:
        return flag.value if flag.value is not None else (otherwise if long else usual)

    return Request(
        dataset=spec.name,
        num_train=either(NUM_TRAIN, 50_000, 0),
        num_test=either(NUM_TEST, 20_000, 500),
        num_steps=either(NUM_STEPS, num_steps, 1023),
        dt=either(DT, spec.dt, spec.dt),
        seed=SEED.value,
    )


def _preview(request: Request, path: str) -> pathlib.Path:
    """Draws the first trajectories of the first split."""
    still = style.check_suffix(path, *contact_sheet.SUFFIXES).suffix.lower() == ".png"
    split, size = next(iter(request.sizes.items()))
    stop = min(size, _NUM_ROWS if still else _NUM_CLIPS)
    chosen = records(request, simulator(request), split, 0, stop)
    clips = np.stack([record["image"][:_MOST_FRAMES] for record in chosen])
    shape = {"num_columns": 6, "zoom": 2} if still else {"num_columns": 4, "zoom": 3}
    try:
        return contact_sheet.save(path, clips, **shape, origin=request.spec.origin)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror or error})") from None


def _write_clips(request: Request, path: str) -> pathlib.Path:
    """Writes the images of all test trajectories as one array."""
    if pathlib.Path(path).suffix != ".npy":
        raise UserError(f"--clips writes one file: --out={path} must end in .npy")
    numbers = request.num_test * request.num_frames * 32 * 32 * 3
    files.check_memory(2 * numbers, f"--clips={request.num_test}", "take fewer")
    chosen = records(request, simulator(request), "test", 0, request.num_test)
    clips = io.BytesIO()
    np.save(clips, np.stack([record["image"] for record in chosen]))
    return files.write_atomic(path, clips.getvalue())


class Bar:
    """Shows how many trajectories are written: a bar on a terminal, lines in a log.

    Args:
      stream: where; None: standard output.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = sys.stdout if stream is None else stream
        self._bar: progress.Progress | None = None
        self._began = self._last = time.monotonic()
        self._first: int | None = None
        if self._stream.isatty():
            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[rate]}"),
                console=console.Console(file=self._stream),
                refresh_per_second=2,
            )
            first = "simulating the first trajectories"
            self._task = self._bar.add_task(first, total=None, rate="")
            self._bar.start()

    def close(self) -> None:
        """Returns the terminal back."""
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Reports that `done` of `total` trajectories are written."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now
        rate = (done - self._first) / max(now - self._began, 1e-9)
        left = duration((total - done) / rate if rate else float("inf"))
        speed = f"{number(rate)} trajectories/s  ETA {left}" if rate else ""
        if self._bar:
            counted = f"trajectory {done}/{total}"
            self._bar.update(
                self._task, description=counted, completed=done, total=total, rate=speed
            )
        elif done == total or now - self._last >= _LINE_SECONDS:
            line = f"trajectory {done}/{total}  {speed}".rstrip()
            print(line, file=self._stream, flush=True)
            self._last = now


if __name__ == "__main__":
    cli.run(main, FLAGS)

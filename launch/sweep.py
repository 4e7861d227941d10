"""Trains every model on every dataset with every seed: here, or as a Slurm array.

    python launch/sweep.py --datasets=spring --seeds=0,1 --preset=laptop --out=runs/table
    python -m nwm_jax.table --runs='runs/table/*'

With --grid=copy_wrnn in place of --datasets and --models: the hyper-parameters that were
searched for a sequence experiment; with --grid=tetrominoes_nwm the readouts, or depths or
widths, and the seeds of a published segmentation (`experiments.sequences.grids`). Arguments without dashes
are fields of all configs, such as batch_size=16. Run the same command again to go on:
what is finished is skipped, what is not goes on where it stopped. With --keep=FOLDER the
results of finished runs are copied to FOLDER/<protocol>/<name>-<seed>; with
--done='FOLDER/**' what is finished there is skipped, too. A run that diverged is
finished. A run that fails does not stop the others; the exit code is then 1. Ctrl-C and
SIGTERM let the runs save and end. With --jobs=2 and more each run gets one GPU, or its
share of one.
"""

import concurrent.futures
import glob
import multiprocessing
import os
import pathlib
import shlex
import signal
import sys
import time
from collections.abc import Sequence

# Beside this file.
import gpus
import slurm_array
from absl import app, flags
from jobs import Job, Runner, is_finished, summary

DATASETS = flags.DEFINE_list(
    "datasets",
    ["spring", "pendulum", "two_body", "pennies", "double_pendulum"],
    "datasets by name",
)
MODELS = flags.DEFINE_list(
    "models", ["ar", "hgn", "ode", "cornn", "nwm2d", "nwm1d"], "models by name"
)
GRID = flags.DEFINE_string(
    "grid",
    None,
    "a sequence experiment by name: run its grid of hyper-parameters; or a segmentation: "
    "run the published list of seeds",
)
SEEDS = flags.DEFINE_list("seeds", ["0"], "seeds, such as 0,1,2")
PRESET = flags.DEFINE_string("preset", "paper", "preset of all configs")
OUT = flags.DEFINE_string("out", "runs/sweep", "folder of the workdirs and the logs")
JOBS = flags.DEFINE_integer("jobs", 1, "runs at a time", lower_bound=1)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "print the commands and do nothing")
VALIDATE = flags.DEFINE_bool(
    "validate", False, "score every run on the split valid, too (eval_valid.json)"
)
DONE = flags.DEFINE_list(
    "done", [], "folders with results of runs that need not be repeated, as patterns"
)
KEEP = flags.DEFINE_string(
    "keep", None, "a folder that gets a copy of the results of every finished run"
)
SLURM = flags.DEFINE_string(
    "slurm", None, "write a Slurm array of the commands to this file; run nothing"
)


def resolve(specs: Sequence[str], workdirs: Sequence[str]) -> list[dict]:
    """Reads configs as training would; runs in a process of its own, which has JAX.

    Returns:
      For each config the fields of a `Job` that it decides, or {"error"} in one line.
    """
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.insert(0, "")  # as `python -m nwm_jax.train` finds the package
    import nwm_jax.experiments  # noqa: F401 (registers them)
    from nwm_jax import files
    from nwm_jax.config import presets
    from nwm_jax.config.validate import validate
    from nwm_jax.errors import UserError
    from nwm_jax.training import workdir as workdirs_

    resolved = []
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
            resolved.append(
                {
                    "num_steps": config.num_steps,
                    "protocol": config.protocol,
                    "name": config.name,
                    "seed": config.seed,
                    "stops": config.get("stop_when_solved", False),
                }
            )
        except UserError as error:
            resolved.append({"error": str(error)})
    return resolved


def combinations(name: str) -> list[dict] | str:
    """Reads a grid; runs like `resolve`. A text is what is wrong."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.path.insert(0, "")
    from nwm_jax.errors import UserError
    from nwm_jax.experiments.sequences import grids

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
        resolved = pool.submit(
            resolve, specs, [str(path) for path in workdirs]
        ).result()
    errors = [known["error"] for known in resolved if "error" in known]
    if errors:
        raise ValueError(errors[0])
    train = [sys.executable, "-m", "nwm_jax.train"]
    validate = [sys.executable, "-m", "nwm_jax.evaluate", "--split=valid"]
    validate += ["--metrics=mse"]
    return [
        Job(
            path,
            [*train, f"--config={spec}", f"--workdir={path}"],
            **known,
            validate=[*validate, f"--workdir={path}"] if VALIDATE.value else [],
        )
        for spec, path, known in zip(specs, workdirs, resolved, strict=True)
    ]


def _name_all(
    runs: Sequence[tuple[str, dict]], overrides: Sequence[str]
) -> tuple[list[str], list[pathlib.Path]]:
    """Returns the config and the workdir of every run with every seed."""
    specs, workdirs = [], []
    for experiment, fields in runs:
        settings = [f"{field}={value}" for field, value in fields.items()]
        words = [
            f"{field.rpartition('.')[2]}_{str(value)[:6]}"
            for field, value in fields.items()
        ]
        # A published list names the seeds itself.
        for seed in dict.fromkeys(SEEDS.value if "seed" not in fields else [""]):
            first = [PRESET.value, *([f"seed={seed}"] if seed else [])]
            specs.append(f"{experiment}:{','.join([*first, *settings, *overrides])}")
            name = "_".join(filter(None, [experiment, PRESET.value, seed, *words]))
            workdirs.append(pathlib.Path(OUT.value) / name)
    return specs, workdirs


def main(argv: list[str]) -> int:
    """Runs the sweep; 1 if a run failed or was stopped."""
    try:
        jobs = plan(argv[1:])
        if DRY_RUN.value:
            for job in jobs:
                print(shlex.join(job.command))
            return 0
        # Slurm, too, writes the logs there, and makes no folders.
        pathlib.Path(OUT.value).mkdir(parents=True, exist_ok=True)
        done = [
            pathlib.Path(path)
            for pattern in DONE.value
            for path in sorted(glob.glob(pattern, recursive=True))
            if os.path.isdir(path)
        ]
        if SLURM.value:
            return _write_array(jobs, done)
        slots = gpus.environments(JOBS.value)
    except ValueError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'writing'}: {error.strerror}")
    runner = Runner(jobs, done, pathlib.Path(KEEP.value) if KEEP.value else None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: runner.stop())
    began = time.monotonic()
    outcomes = runner.run(JOBS.value, slots)
    print(summary(outcomes, time.monotonic() - began), flush=True)
    return int(any(outcome.status in ("failed", "stopped") for outcome in outcomes))


def _write_array(jobs: Sequence[Job], done: Sequence[pathlib.Path]) -> int:
    todo = [job for job in jobs if not any(is_finished(job, f) for f in (None, *done))]
    if not todo:
        print("all runs are finished: there is nothing to submit")
        return 0
    slurm_array.write(pathlib.Path(SLURM.value), todo)
    print(f"{len(todo)} runs: sbatch {shlex.quote(SLURM.value)}")
    return 0


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _help() -> str:
    """Returns what this program does, and its own flags."""
    sys.path.insert(0, "")
    from nwm_jax.shell import flag_help

    own = flags.FLAGS.flags_by_module_dict()[sys.argv[0]]
    usage = "usage: python launch/sweep.py [--flag=value ...] [field=value ...]"
    return "\n".join([usage, "", __doc__.strip(), "", "flags:", *flag_help.lines(own)])


def _parse(argv: list[str]) -> list[str]:
    """Parses the flags; a mistake ends with one line and exit code 2."""
    if {"-h", "-help", "--help", "--helpfull", "--helpshort"} & set(argv[1:]):
        print(_help())
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(_fail(str(error)))


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)

"""Runs verbs and readers on hostile input, each in a forked child with limits.

    python -m tests.helpers.forked FOLDER < cases.jsonl > results.jsonl

The parent imports the package once and runs no operation of JAX, so that a child starts
in a few milliseconds and in a state in which forking is sound. Cases are JSON objects
`{"id", "verb", "arguments"}`; a verb is the name of a module, or of a reader below.
"""

import contextlib
import gc
import importlib
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import time
import warnings

SECONDS = 60.0
BYTES = 4 * 10**9
TOGETHER = 2
POSITIONAL = ("analyse",)
VERBS = {
    name: f"nwm_jax.{name}"
    for name in ("train", "evaluate", "plot", "table", "generate", "drum", "analyse")
} | {
    "benchmark train": "nwm_jax.shell.benchmark_train",
    "benchmark data": "nwm_jax.shell.benchmark_data",
    "benchmark waves": "nwm_jax.shell.benchmark_waves",
}


def readers():
    """Functions of a path, by name."""
    import nwm_jax
    from nwm_jax import files
    from nwm_jax.data import source, tfrecord
    from nwm_jax.data.records import RecordsSource
    from nwm_jax.data.segmentation.membranes import read_mask
    from nwm_jax.data.sequences import cifar, mnist
    from nwm_jax.figures import curves
    from nwm_jax.interop import checkpoints, state_dicts
    from nwm_jax.runs import opened, scores
    from nwm_jax.training import manifests, workdir, writers
    from nwm_jax.waves import recording

    return {
        "json": files.read_json,
        "export": lambda workdir: nwm_jax.export(workdir, "new.npz"),
        "array": files.open_array,
        "npz": lambda path: files.read_npz(path, 10**9),
        "frames": source.open_frames,
        "features": tfrecord.features,
        "records": lambda path: list(tfrecord.read(path, "train")),
        "record folder": lambda path: RecordsSource(path).size("train"),
        "mask": read_mask,
        "idx": mnist.read_idx,
        "mnist": mnist.read,
        "cifar": cifar.read,
        "weights": state_dicts.read,
        "original": checkpoints.read_checkpoint,
        "curve": lambda path: curves.read_metric(path, "loss"),
        "metrics": writers.read_metrics,
        "scores": scores.read_scores,
        "run": opened.read_config,
        "manifest": lambda path: manifests.read(pathlib.Path(path)),
        "claim": lambda path: workdir.check_path(path),
        "recording": recording.load,
    }


def run(case, modules, functions):
    """Runs one case in this process and never returns."""
    from nwm_jax.errors import UserError
    from nwm_jax.shell import cli

    verb, arguments = case["verb"], case["arguments"]
    if verb in functions:
        try:
            functions[verb](*arguments)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        raise SystemExit(0)
    module = modules[verb]
    argv = [verb, *arguments]
    cli.run(module.main, module.FLAGS, argv=argv, positional=verb in POSITIONAL)


def start(case, folder, modules, functions):
    """Forks a child for a case; its process id."""
    place = folder / str(case["id"])
    work = place / "work"
    work.mkdir(parents=True)
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.chdir(work)
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            descriptor = os.open(place / name, os.O_WRONLY | os.O_CREAT)
            os.dup2(descriptor, number)
        used = int(pathlib.Path("/proc/self/statm").read_text().split()[5]) * 4096
        resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, used + BYTES))
        os.environ["NWM_JAX_CACHE"] = str(place / "cache")
        os.environ["HOME"] = str(place)
        run(case, modules, functions)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001 (whatever it is, it is printed)
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def finish(case, folder, pid, began, late):
    """The result of a child that has ended."""
    _, status, usage = os.wait4(pid, 0)
    place = folder / str(case["id"])
    made = sorted(
        path.relative_to(place / "work").as_posix() for path in place.glob("work/**/*")
    )
    result = {
        "id": case["id"],
        "code": os.waitstatus_to_exitcode(status),
        "out": (place / "out").read_text(errors="replace")[-2_000:],
        "err": (place / "err").read_text(errors="replace")[-4_000:],
        "seconds": round(time.monotonic() - began, 2),
        "bytes": usage.ru_maxrss * 1024,
        "late": late,
        "made": made[:20],
    }
    shutil.rmtree(place, ignore_errors=True)
    return result


def main():
    folder = pathlib.Path(sys.argv[1])
    warnings.simplefilter("ignore")  # of Python and JAX: the parent has threads
    modules = {name: importlib.import_module(path) for name, path in VERBS.items()}
    functions = readers()
    from jax._src import xla_bridge

    assert not xla_bridge.backends_are_initialized(), "an import ran JAX"
    # Children look at no object of the parent's for garbage: its pages stay shared.
    gc.collect()
    gc.freeze()
    waiting = [json.loads(line) for line in sys.stdin]
    waiting.reverse()
    running = {}
    while waiting or running:
        while waiting and len(running) < TOGETHER:
            case = waiting.pop()
            pid = start(case, folder, modules, functions)
            running[pid] = (case, time.monotonic())
        ended = None
        while ended is None:
            for pid, (case, began) in running.items():
                # Ended, but kept for `finish`, which reads what it has used.
                done = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                late = time.monotonic() - began > case.get("seconds", SECONDS)
                if done is None and late:
                    os.killpg(pid, signal.SIGKILL)
                if done is not None or late:
                    ended = (pid, late and done is None)
                    break
            else:
                time.sleep(0.005)
        pid, late = ended
        case, began = running.pop(pid)
        result = finish(case, folder, pid, began, late)
        print(json.dumps(result), flush=True)
    assert not xla_bridge.backends_are_initialized(), "the parent ran JAX"


if __name__ == "__main__":
    main()

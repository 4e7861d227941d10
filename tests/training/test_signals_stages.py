"""Real runs that end early: by a signal in every stage, by an error in one of two."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from nwm_jax.training import writers
from tests.training.test_processes import end, start_two, wait_for_rows

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.slow

CONFIG = (
    "--config=pendulum_nwm2d:smoke,model.grid=(3,4),model.conv_channels=2,"
    "model.num_observed=3,model.num_ic=2,model.num_target=6,batch_size=4,conv=xla,"
    "log_every=2,checkpoint_every=4,num_steps=10,eval.every=5,eval.horizon=4,"
    "eval.num_windows=5,eval.num_mean_windows=7,eval.batch_size=4"
)
CLOCKS = {"seconds", "cpu_seconds", "steps_per_s", "frames_per_s"}

# The verb, which says when it calls a function for the n-th time and waits there.
PROGRAM = """
import hashlib, importlib, pathlib, sys, time
from nwm_jax.training import signals
signals.listen()
from nwm_jax import train
from nwm_jax.shell import cli

place, nth, how, reached = sys.argv[1:5]
module, name = place.split(":")
*outer, name = name.split(".")
holder = importlib.import_module(module)
for part in outer:
    holder = getattr(holder, part)
function, calls = getattr(holder, name), []

def waits(*arguments, **options):
    calls.append(0)
    if len(calls) == int(nth):
        pathlib.Path(reached).touch()
        if how == "c":  # as a compilation, in which Python cannot run
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
        while not signals._active.asked:
            time.sleep(0.01)
    return function(*arguments, **options)

setattr(holder, name, waits)
cli.run(train.main, train.FLAGS, argv=["train", *sys.argv[5:]])
"""

# In the order in which a run comes to them: stage, function, call, how it waits, and
# whether there is something to save.
STAGES = [
    ("simulation", "nwm_jax.data.trajectories:simulate_chunk", 2, "python", False),
    ("compilation", "nwm_jax.training.dispatch:compile_dispatch", 1, "c", False),
    ("a periodic evaluation", "nwm_jax.training.loop:_Run.heed", 1, "python", True),
    # Two batches of the evaluation that was put off come first.
    ("the last of them", "nwm_jax.training.loop:_Run.heed", 3, "python", True),
    ("the evaluation", "nwm_jax.runs.opened:evaluate", 1, "python", False),
    ("figures", "nwm_jax.runs.drawing:draw", 1, "python", False),
]


def begin(folder, program, **environment):
    command = [sys.executable, *program, CONFIG, f"--workdir={folder / 'run'}"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={
            **os.environ,
            "JAX_NUM_CPU_DEVICES": "1",
            "NWM_JAX_CACHE": str(folder / "cache"),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt(folder, place, nth, how, **environment):
    """Sends SIGTERM in a stage; returns output, exit code and seconds that it took."""
    reached = folder / "reached"
    reached.unlink(missing_ok=True)
    program = ("-c", PROGRAM, place, str(nth), how, str(reached))
    process = begin(folder, program, **environment)
    while not reached.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert err == "", err
    return out, process.returncode, time.monotonic() - began


def numbers(folder):
    """What a run has logged and evaluated, without times."""
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    report = (folder / "run" / "eval.json").read_text()
    objects = [json.loads(text) for text in (*lines, report)]
    return [{k: v for k, v in o.items() if k not in CLOCKS} for o in objects]


def test_a_run_that_is_ended_in_every_stage_equals_one_that_is_not(tmp_path):
    ended, whole = tmp_path / "ended", tmp_path / "whole"
    for folder in (ended, whole):
        folder.mkdir()
    for number, (stage, place, nth, how, saves) in enumerate(STAGES):
        # A scheduler may want another code.
        code = (143, 7)[number % 2]
        environment = {"NWM_JAX_PREEMPTED_EXIT": "7"} if code == 7 else {}
        out, got, seconds = interrupt(ended, place, nth, how, **environment)
        assert got == code, (stage, out)
        assert "SIGTERM received" in out, (stage, out)
        assert ("SIGTERM at step" in out) == saves, (stage, out)
        assert ("nothing has to be saved" in out) != saves, (stage, out)
        assert saves or seconds < 6, stage
        assert not (ended / "run" / "report.html").exists(), stage
        if stage == "simulation":
            (journal,) = (ended / "cache").glob(".*.unfinished/journal.json")
            assert json.loads(journal.read_text())["chunks"] == 1
    for folder in (ended, whole):
        out, err = end(begin(folder, ("-m", "nwm_jax.train")))
        assert err == "" and "report: " in out
    assert numbers(ended) == numbers(whole)


# A verb with the toy task, of which one process may fail.
TWO = """
import os, sys, time
from nwm_jax.training import signals
signals.listen()
from absl import flags
from nwm_jax.config import grammar
from nwm_jax.errors import UserError
from nwm_jax.shell import cli, progress
from nwm_jax.training import loop, mesh, peers
from tests.helpers import toy_task

ERRORS = {"user": UserError("a record is damaged"), "bug": ValueError("a bug")}
ME = os.environ["JAX_PROCESS_ID"]

class Failing(toy_task.Toy):
    def batch(self, step, rows):
        if step == 15 and os.environ.get("FAILING") == ME:
            print(f"failing at {time.time()}", flush=True)
            raise ERRORS[os.environ["ERROR"]]
        return super().batch(step, rows)

def main(argv):
    mesh.initialize_distributed()
    config = toy_task.get_config(num_steps=int(os.environ.get("STEPS", 400)))
    config.seed = int(ME) * int(os.environ.get("DIFFERENT", 0))
    peers.check_same(grammar.flatten(config))
    loop.train(config, Failing(delay=0.03), argv[1], display=progress.Progress)
    if os.environ.get("LATE") == ME:
        time.sleep(2)  # the other one has nothing left to do
        print(f"failing at {time.time()}", flush=True)
        raise ERRORS[os.environ["ERROR"]]
    return 0

cli.run(main, flags.FlagValues(), positional=True)
"""


def end_both(processes):
    """The exit codes and errors of both processes, what they said, and the time."""
    ends = [process.communicate(timeout=300) for process in processes]
    now = time.time()
    codes = [process.returncode for process in processes]
    return codes, [err for _, err in ends], "".join(out for out, _ in ends), now


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize(("error", "code"), [("user", 2), ("bug", 1)])
@pytest.mark.parametrize(
    "when", [{"FAILING": 400}, {"LATE": 20}], ids=["training", "after"]
)
def test_an_error_in_one_process_ends_both(failing, error, code, when, tmp_path):
    ((variable, steps),) = when.items()
    settings = {variable: str(failing), "STEPS": str(steps), "ERROR": error}
    processes = start_two(tmp_path, program=("-c", TWO), **settings)
    codes, errors, out, now = end_both(processes)
    assert codes == [code, code], errors
    assert now - float(re.search(r"failing at (\S+)", out)[1]) < 10
    own, other = errors[failing], errors[1 - failing]
    text = "a record is damaged" if error == "user" else "ValueError: a bug"
    assert f"process {failing}: {text}" in other and other.count("\n") == 1
    assert text in own and other.startswith("error: ")
    # What is no mistake of the user keeps its traceback, where it happened.
    assert ("Traceback" in own) == (error == "bug")
    assert error == "bug" or own.count("\n") == 1


def test_processes_with_different_configs_are_refused(tmp_path):
    codes, errors, _, _ = end_both(
        start_two(tmp_path, program=("-c", TWO), DIFFERENT="5")
    )
    assert codes == [2, 2], errors
    assert all(line.count("\n") == 1 and "seed=5, not 0" in line for line in errors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.parametrize("code", [143, 7])
def test_a_signal_to_one_process_ends_both_after_a_save(asked, code, tmp_path):
    chosen = {} if code == 143 else {"NWM_JAX_PREEMPTED_EXIT": str(code)}
    processes = start_two(tmp_path, program=("-c", TWO), **chosen)
    # Not while either still compiles its first step, with nothing to save.
    wait_for_rows(tmp_path, 3, processes[0])
    began = time.time()
    processes[asked].send_signal(signal.SIGTERM)
    codes, errors, out, now = end_both(processes)
    assert codes == [code, code] and errors == ["", ""], errors
    assert now - began < 10
    assert "SIGTERM received" in out
    step = int(re.search(r"SIGTERM at step (\d+): saved", out)[1])
    assert (tmp_path / "checkpoints" / str(step)).is_dir()
    assert writers.read_metrics(tmp_path)[-1]["step"] <= step

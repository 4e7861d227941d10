"""Real processes: killed, asked to end, kept apart, and two that train together."""

import multiprocessing
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import loop, mesh, writers
from tests.helpers import toy_task

ROOT = pathlib.Path(__file__).parents[2]


def start(workdir, *options, program=("-m", "tests.helpers.toy_task"), **environment):
    command = [sys.executable, *program, str(workdir), *options]
    if environment.get("JAX_PROCESS_ID", "0") != "0":
        # Of several processes the first alone writes to files: no byte is granted.
        command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, code=0):
    out, err = process.communicate(timeout=180)
    assert process.returncode == code, out + err
    # Without a compiler a line says so, and nothing else here does.
    return out, re.sub(
        r"WARNING:nwm_jax:convolutions are not the compiled.*\n", "", err
    )


def wait_for_rows(workdir, count, process):
    """Waits until a run has logged `count` rows."""
    deadline = time.monotonic() + 300
    while len(writers.read_metrics(workdir)) < count:
        assert process.poll() is None and time.monotonic() < deadline, end(process)
        time.sleep(0.01)


def assert_final(workdir, state, **tolerance):
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    with np.load(workdir / "final.npz", allow_pickle=False) as final:
        assert len(final.files) == len(leaves)
        for name, leaf in zip(final.files, leaves, strict=True):
            if tolerance:
                np.testing.assert_allclose(final[name], leaf, **tolerance)
            else:
                np.testing.assert_array_equal(final[name], leaf)


def train(*arguments):
    sys.exit(toy_task.main(list(arguments)))


@pytest.mark.slow
def test_killed_twenty_times_at_random_moments_equals_uninterrupted(
    tmp_path, same_bits
):
    """Every step is a checkpoint, which takes most of the time: many kills hit one."""
    options, steps = ("log_every=1", "checkpoint_every=1", "num_steps=150"), 150
    workdir = tmp_path / "killed"
    checkpoints = workdir / "checkpoints"
    seed = time.time_ns()
    print(f"random moments of seed {seed}")
    dice = random.Random(seed)
    # Each run is a process of its own, forked from one that has the imports behind it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.toy_task"])

    def begin():
        process = context.Process(target=train, args=(str(workdir), *options))
        process.start()
        return process

    def newest():
        names = [path.name for path in checkpoints.glob("*")]
        return max((int(name) for name in names if name.isdecimal()), default=0)

    torn = 0
    for kill in range(20):
        before, process = newest(), begin()
        if kill % 5 == 0:  # also while it starts
            time.sleep(dice.uniform(0, 2))
        else:
            while newest() == before and process.is_alive():
                time.sleep(0.002)
            time.sleep(dice.uniform(0, 0.15))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        torn += any(checkpoints.glob("*.saving*"))
    assert torn and 10 < newest() < steps
    process = begin()
    process.join()
    assert process.exitcode == 0
    config = toy_task.get_config(num_steps=steps, log_every=1, checkpoint_every=steps)
    # The command has as many devices as this process.
    whole = loop.train(config, toy_task.Toy(), tmp_path / "whole")
    assert_final(workdir, whole.state)
    rows = writers.read_metrics(workdir), writers.read_metrics(tmp_path / "whole")
    for one, other in zip(*rows, strict=True):
        assert one["step"] == other["step"]
        assert one.get("loss") == other.get("loss")


@pytest.mark.slow
def test_killed_before_the_first_manifest_starts_afresh(straight, tmp_path):
    program = (
        "import os, sys; from nwm_jax.training import manifests; "
        "from tests.helpers import toy_task as toy; "
        "manifests.write = lambda *_: os.kill(os.getpid(), 9); "
        "toy.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    killed = subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["20.saving"]
    out, err = end(start(tmp_path))
    assert "resuming" not in out and err == ""
    assert_final(tmp_path, straight[0].state)


@pytest.mark.slow
def test_asked_to_end_saves_and_says_so_by_its_exit_code(straight, tmp_path):
    process = start(tmp_path, "delay=0.3")
    wait_for_rows(tmp_path, 2, process)
    # Meanwhile nobody else may have the workdir.
    _, err = end(start(tmp_path), code=2)
    assert err.startswith("another run is training in") and err.count("\n") == 1
    process.send_signal(signal.SIGTERM)
    out, err = end(process, code=143)
    assert (
        "SIGTERM received" in out
        and "SIGTERM at step" in out
        and "run the same command again to go on" in out
    )
    assert err == "" and not (tmp_path / "final.npz").exists()
    end(start(tmp_path))
    assert_final(tmp_path, straight[0].state)


def exchange(monkeypatch, function):
    """Returns how `on_primary` ends in process 0 and in process 1 of two."""
    sent, ends = [], []
    for number in range(2):
        queue = list(sent)

        def broadcast(value, number=number, queue=queue):
            sent.append(value)
            return value if number == 0 else queue.pop(0)

        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr(jax, "process_index", lambda number=number: number)
        monkeypatch.setattr(mesh.multihost_utils, "broadcast_one_to_all", broadcast)
        try:
            ends.append(mesh.on_primary(function))
        except Exception as error:  # noqa: BLE001
            ends.append(error)
    return ends


def test_process_0_tells_its_result(monkeypatch):
    assert exchange(monkeypatch, lambda: [1, "two"]) == [[1, "two"]] * 2


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("one line"), "one line"),
        (OSError(28, "No space left on device", "f"), "No space left on device: f"),
        (KeyError("a\nb"), r"process 0 failed with KeyError: 'a\nb'"),
    ],
)
def test_process_0_tells_any_error(error, message, monkeypatch):
    def fail():
        raise error

    first, second = exchange(monkeypatch, fail)
    assert first is error
    assert type(second) is UserError and str(second) == message


def test_a_result_that_json_cannot_hold_leaves_nobody_waiting(monkeypatch):
    first, second = exchange(monkeypatch, object)
    assert type(first) is TypeError and "TypeError" in str(second)


def start_two(workdir, *options, both=True, **settings):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        start(
            workdir,
            *options,
            JAX_NUM_CPU_DEVICES="2",
            JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{port}",
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(number),
            **settings,
        )
        if number == 0 or both
        else None
        for number in range(2)
    ]


@pytest.mark.slow
def test_two_processes_equal_one(straight, tmp_path):
    processes = start_two(tmp_path, "eval.every=30")
    (out, err), (silent, other_err) = [end(process) for process in processes]
    # Gloo's own greeting cannot be turned off; its threads mix up text and line ends.
    shown = [s for s in silent.splitlines() if s and not s.startswith("[Gloo]")]
    assert "step 60/60" in out and shown == []
    assert (err, other_err) == ("", "")
    assert_final(tmp_path, straight[0].state, rtol=1e-5, atol=1e-5)
    rows, reference = (writers.read_metrics(d) for d in (tmp_path, straight[1]))
    losses = [[r["loss"] for r in side if "loss" in r] for side in (rows, reference)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [1, 0])
def test_a_process_lost_while_saving_ends_the_other_at_once(lost, tmp_path):
    # Most of the time goes into checkpoints.
    options = ("checkpoint_every=1", "log_every=2", "num_steps=400")
    processes = start_two(tmp_path, *options)
    wait_for_rows(tmp_path, 4, processes[0])
    processes[lost].kill()
    processes[lost].communicate()
    other = processes[1 - lost]
    _, err = other.communicate(timeout=60)
    if lost == 1:
        assert err.startswith("another process of this run is gone")
    # With process 0 the service is gone that JAX keeps in touch by; it may be faster.
    message = "start all of them again with the same command to go on at step"
    if lost == 1 or other.returncode == 2:
        assert other.returncode == 2 and message in err
    else:
        assert other.returncode == -signal.SIGABRT
        assert "This most likely indicates that another task died" in err
    # Nothing is lost.
    again = ("checkpoint_every=400", "log_every=2", "num_steps=400")
    (out, _), _ = [end(process) for process in start_two(tmp_path, *again)]
    assert "resuming at step" in out and "step 400/400" in out
    steps = [r["step"] for r in writers.read_metrics(tmp_path) if r["kind"] == "train"]
    assert steps == list(range(2, 401, 2))


DYING = """
import os, sys
from nwm_jax.training import workdir
from tests.helpers import toy_task as toy
if os.environ["JAX_PROCESS_ID"] == "1":
    workdir.claim = lambda *_: os.kill(os.getpid(), 9)
sys.exit(toy.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_process_lost_before_the_first_step_is_told_in_one_line(tmp_path):
    first, second = start_two(tmp_path, program=("-c", DYING))
    assert second.wait() == -signal.SIGKILL
    second.communicate()
    _, err = end(first, code=2)
    assert err.startswith("another process of this run is gone")
    assert err.endswith("again with the same command to go on from its start\n")
    assert err.count("\n") == 1


def test_a_process_that_never_comes_is_not_waited_for_forever(tmp_path):
    program = (
        "import sys; from nwm_jax.training import mesh; "
        "from tests.helpers import toy_task as toy;"
        "mesh.JOIN_SECONDS = 1; toy.main(sys.argv[1:])"
    )
    first, second = start_two(tmp_path, program=("-c", program), both=False)
    assert second is None
    _, err = end(first, code=2)
    assert err.startswith("error: not all processes of this run came to 127.0.0.1:")
    assert err.count("\n") == 1 and list(tmp_path.iterdir()) == []

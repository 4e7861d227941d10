"""Real processes: killed, asked to end, kept apart, and two that train together."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import mesh, writers

ROOT = pathlib.Path(__file__).parents[2]


def start(workdir, *options, **environment):
    command = [sys.executable, "-m", "tests.training.toy", str(workdir), *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, code=0):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    return out, err


def wait_for_rows(workdir, count, process):
    """Waits until a run has logged `count` rows."""
    deadline = time.monotonic() + 60
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


# checkpoint_every=1 spends most of its time in writing them.
@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 7])
def test_killed_at_random_moments_equals_uninterrupted(every, straight, tmp_path):
    options = ("delay=0.02", "log_every=2", f"checkpoint_every={every}")
    seed = time.time_ns()
    print(f"random moments of seed {seed}")
    wait = random.Random(seed)
    for kill in range(2):
        process = start(tmp_path, *options)
        wait_for_rows(tmp_path, 2 + 5 * kill, process)
        time.sleep(wait.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
    assert not (tmp_path / "final.npz").exists()
    out, err = end(start(tmp_path, "log_every=10"))
    assert "resuming at step" in out and err == ""
    assert_final(tmp_path, straight[0].state)


def test_killed_before_the_first_manifest_starts_afresh(straight, tmp_path):
    program = (
        "import os, sys; from nwm_jax.training import manifests; "
        "from tests.training import toy; "
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


def test_asked_to_end_saves_and_exits_with_0(straight, tmp_path):
    process = start(tmp_path, "delay=0.05")
    wait_for_rows(tmp_path, 2, process)
    # Meanwhile nobody else may have the workdir.
    _, err = end(start(tmp_path), code=2)
    assert err.startswith("another run is training in") and err.count("\n") == 1
    process.send_signal(signal.SIGTERM)
    out, err = end(process)
    assert "SIGTERM at step" in out and "run the same command again to go on" in out
    assert err == "" and not (tmp_path / "final.npz").exists()
    end(start(tmp_path))
    assert_final(tmp_path, straight[0].state)


def exchange(monkeypatch, function):
    """Gives how `on_primary` ends in process 0 and in process 1 of two."""
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
    ("error", "told"),
    [
        (UserError("one line"), "one line"),
        (OSError(28, "No space left on device", "f"), "No space left on device: f"),
        (KeyError("a\nb"), r"process 0 failed with KeyError: 'a\nb'"),
    ],
)
def test_process_0_tells_any_error(error, told, monkeypatch):
    def fail():
        raise error

    first, second = exchange(monkeypatch, fail)
    assert first is error
    assert type(second) is UserError and str(second) == told


def test_a_result_that_json_cannot_hold_leaves_nobody_waiting(monkeypatch):
    first, second = exchange(monkeypatch, object)
    assert type(first) is TypeError and "TypeError" in str(second)


def start_two(workdir, *options):
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
        )
        for number in range(2)
    ]


def test_two_processes_equal_one(straight, tmp_path):
    processes = start_two(tmp_path, "eval.every=30")
    (out, err), (silent, other_err) = [end(process) for process in processes]
    # Gloo's own greeting cannot be turned off.
    shown = [line for line in silent.splitlines() if not line.startswith("[Gloo]")]
    assert "step 60/60" in out and shown == []
    assert (err, other_err) == ("", "")
    assert_final(tmp_path, straight[0].state, rtol=1e-5, atol=1e-5)
    rows, reference = (writers.read_metrics(d) for d in (tmp_path, straight[1]))
    losses = [[r["loss"] for r in side if "loss" in r] for side in (rows, reference)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_a_process_lost_while_saving_ends_the_other_at_once(tmp_path):
    # Most of the time goes into checkpoints.
    options = ("checkpoint_every=1", "log_every=2", "num_steps=400")
    first, second = start_two(tmp_path, *options)
    wait_for_rows(tmp_path, 4, first)
    second.kill()
    second.communicate()
    _, err = end(first, code=2)
    assert err.startswith("another process of this run is gone")
    assert "start all of them again with the same command to go on at step" in err

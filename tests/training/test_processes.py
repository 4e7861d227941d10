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

from nwm_jax.training import writers

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
@pytest.mark.parametrize("every", [1, pytest.param(7, marks=pytest.mark.slow)])
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


def test_two_processes_equal_one(straight, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        start(
            tmp_path,
            "eval.every=30",
            JAX_NUM_CPU_DEVICES="2",
            JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{port}",
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(number),
        )
        for number in range(2)
    ]
    (out, err), (silent, other_err) = [end(process) for process in processes]
    # Gloo's own greeting cannot be turned off.
    shown = [line for line in silent.splitlines() if not line.startswith("[Gloo]")]
    assert "step 60/60" in out and shown == []
    assert (err, other_err) == ("", "")
    assert_final(tmp_path, straight[0].state, rtol=1e-5, atol=1e-5)
    rows, reference = (writers.read_metrics(d) for d in (tmp_path, straight[1]))
    losses = [[r["loss"] for r in side if "loss" in r] for side in (rows, reference)]
    np.testing.assert_allclose(*losses, rtol=1e-5)

"""The verbs as a user runs them: real processes, real workdirs."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image

from nwm_jax.modules import functional
from nwm_jax.runs import opened
from tests.helpers import tiny_forecasting

ROOT = pathlib.Path(__file__).parents[1]
# Everything small; a checkpoint after every step, so that kills often hit a write.
SMALL = (
    "model.grid=(3,4),model.conv_channels=2,model.num_observed=3,model.num_ic=2,"
    "model.num_target=6,batch_size=4,eval.horizon=4,eval.num_windows=5,"
    "eval.num_mean_windows=7,eval.batch_size=4,checkpoint_every=1,log_every=3"
)


def command(verb, *arguments):
    return [sys.executable, "-m", f"nwm_jax.{verb}", *map(str, arguments)]


def environment(cache):
    return {
        **os.environ,
        "JAX_NUM_CPU_DEVICES": "1",
        "NWM_JAX_CACHE": str(cache),
        "PYTHONPATH": str(ROOT),
    }


def run(verb, *arguments, cache):
    return subprocess.run(
        command(verb, *arguments),
        cwd=ROOT,
        env=environment(cache),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def smoke(cache, tmp_path_factory):
    """The README's first command at its smallest size."""
    workdir = tmp_path_factory.mktemp("runs") / "pendulum"
    config = "--config=configs/pendulum_nwm2d.py:smoke"
    done = run("train", config, f"--workdir={workdir}", cache=cache)
    assert done.returncode == 0, done.stderr
    return workdir, config, done.stdout


@pytest.mark.slow
def test_smoke_makes_everything_that_a_workdir_holds(smoke):
    workdir, _, output = smoke
    assert {path.name for path in workdir.iterdir()} >= {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "eval.json",
        "figures",
    }
    assert len(list((workdir / "figures").iterdir())) == 6
    stored = json.loads((workdir / "config.json").read_text())
    assert "--config=configs/pendulum_nwm2d.py:smoke" in stored["command_line"]
    assert {"jax", "flax", "python"} <= stored["versions"].keys()
    assert "compiled the step in" in output
    assert "step 20/20" in output
    assert "table_units" in output


@pytest.mark.slow
def test_the_same_command_again_has_nothing_left_to_do(smoke, cache):
    workdir, config, _ = smoke
    before = (workdir / "metrics.jsonl").read_text()
    done = run("train", config, f"--workdir={workdir}", cache=cache)
    assert done.returncode == 0, done.stderr
    assert "nothing left to train" in done.stdout
    assert (workdir / "metrics.jsonl").read_text() == before


@pytest.mark.slow
def test_another_config_in_the_same_workdir_is_refused(smoke, cache):
    workdir, config, _ = smoke
    options = [config, f"--workdir={workdir}", "--config.model.channels=2"]
    done = run("train", *options, cache=cache)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "model.channels: 1 -> 2" in done.stderr


@pytest.mark.slow
def test_evaluate_and_plot_work_on_the_workdir_alone(smoke, cache, tmp_path):
    workdir, _, _ = smoke
    first = json.loads((workdir / "eval.json").read_text())
    (workdir / "eval.json").unlink()
    done = run("evaluate", f"--workdir={workdir}", cache=cache)
    assert done.returncode == 0, done.stderr
    assert json.loads((workdir / "eval.json").read_text()) == first
    for picture in (workdir / "figures").iterdir():
        picture.unlink()
    done = run("plot", f"--workdir={workdir}", cache=cache)
    assert done.returncode == 0, done.stderr
    for picture in (workdir / "figures").iterdir():
        with Image.open(picture) as image:
            image.load()
    clip = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)
    np.save(tmp_path / "clip.npy", clip)
    files = [f"--input={tmp_path}/clip.npy", f"--output={tmp_path}/forecast.npy"]
    done = run("evaluate", f"--workdir={workdir}", *files, "--horizon=8", cache=cache)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "forecast.npy").shape == (8, 32, 32, 3)


@pytest.mark.slow
def test_killed_at_random_steps_a_run_ends_bit_for_bit_the_same(cache, tmp_path):
    path = tiny_forecasting.write(tmp_path)
    config = f"--config=pendulum_nwm2d:smoke,{SMALL},num_steps=40"
    data = f"--config.data.path={path}"
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    done = run("train", config, data, f"--workdir={straight}", cache=cache)
    assert done.returncode == 0, done.stderr
    dice = random.Random(0)
    kills = 0
    for _ in range(60):
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                command("train", config, data, f"--workdir={killed}"),
                cwd=ROOT,
                env=environment(cache),
                stdout=log,
                stderr=log,
            )
            # Until training has begun, then some steps more.
            reached = steps_of(killed)
            while process.poll() is None and steps_of(killed) == reached:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.3))
            if process.poll() is not None or kills == 4:
                assert process.wait() == 0, (tmp_path / "log").read_text()
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 2
    one, other = (opened.open_run(workdir) for workdir in (straight, killed))
    assert one.step == other.step == 40
    for a, b in zip(
        jax.tree.leaves(functional.split(one.model)[1]),
        jax.tree.leaves(functional.split(other.model)[1]),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    # The log is whole too: nothing is missing, nothing is there twice.
    rows = [
        [
            {k: v for k, v in json.loads(line).items() if "per_s" not in k}
            for line in (workdir / "metrics.jsonl").read_text().splitlines()
        ]
        for workdir in (straight, killed)
    ]
    for row in rows[0] + rows[1]:
        row.pop("seconds", None)
        row.pop("cpu_seconds", None)
    assert rows[0] == rows[1]


def steps_of(workdir):
    """The newest checkpoint's step, -1 if there is none."""
    names = (path.name for path in (workdir / "checkpoints").glob("*"))
    return max((int(name) for name in names if name.isdecimal()), default=-1)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_one_line_and_a_dump(cache, tmp_path):
    path = tiny_forecasting.write(tmp_path)
    workdir = tmp_path / "run"
    done = run(
        "train",
        f"--config=pendulum_nwm2d:smoke,{SMALL},num_steps=40",
        f"--config.data.path={path}",
        "--config.optimizer.learning_rate=1e30",
        "--config.optimizer.name=sgd",
        f"--workdir={workdir}",
        cache=cache,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "not finite in step" in done.stderr
    assert (workdir / "nan_dump.json").exists()
    assert "diverged" in json.loads((workdir / "eval.json").read_text())
    with np.load(workdir / "nan_dump.npz", allow_pickle=False) as dump:
        assert dump["frames"].shape == (4, 6, 8, 8, 3)


@pytest.mark.slow
def test_one_line_and_exit_code_2_for_what_a_user_can_mend(cache, tmp_path):
    cases = [
        (["train"], "--config is required"),
        (["train", "--config=pendulum_nwm2d:smoke"], "--workdir is required"),
        (
            ["train", "--config=pendulum_nwm2d:smok", f"--workdir={tmp_path}/a"],
            "did you mean 'smoke'?",
        ),
        (
            [
                "train",
                "--config=pendulum_nwm2d:smoke",
                f"--workdir={tmp_path}/a",
                "--config.data.path=no.npy",
            ],
            "no.npy cannot be opened",
        ),
        (["evaluate", f"--workdir={tmp_path}"], "is not a workdir"),
        (["plot", f"--workdir={tmp_path}"], "is not a workdir"),
    ]
    for arguments, message in cases:
        done = run(*arguments, cache=cache)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
    assert not (tmp_path / "a").exists()

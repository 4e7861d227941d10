"""The command on two processes of two devices each, beside one process of one device."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from nwm_jax.modules import functional
from nwm_jax.runs import opened
from tests.helpers import tiny_forecasting

ROOT = pathlib.Path(__file__).parents[1]
pytestmark = pytest.mark.slow

# Of 5 windows in batches of 4, those of the last batch do not divide either.
CONFIG = (
    "--config=pendulum_nwm2d:smoke,model.grid=(3,4),model.conv_channels=2,"
    "model.num_observed=3,model.num_ic=2,model.num_target=6,batch_size=4,conv=xla,"
    "log_every=2,checkpoint_every=5,eval.every=5,eval.horizon=4,eval.num_windows=5,"
    "eval.num_mean_windows=7,eval.batch_size=4"
)
CLOCKS = {"seconds", "cpu_seconds", "steps_per_s", "frames_per_s"}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Returns `train(workdir, steps, processes)`: the verb on so many; its output."""
    folder = tmp_path_factory.mktemp("two")
    clips = tiny_forecasting.write(folder)
    commands = folder / "commands"
    commands.mkdir()
    (commands / "python").symlink_to(sys.executable)

    def run(workdir, steps, processes):
        verb = ["-m", "nwm_jax.train"]
        command = [sys.executable, *verb]
        if processes > 1:
            command = ["bash", str(ROOT / "launch" / "local.sh"), str(processes)]
        flags = [f"--config.num_steps={steps}", f"--config.data.path={clips}"]
        done = subprocess.run(
            [*command, CONFIG, *flags, f"--workdir={workdir}"],
            env={
                **os.environ,
                "JAX_NUM_CPU_DEVICES": str(processes),
                "NWM_JAX_CACHE": str(folder / "cache"),
                "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def pair(train, tmp_path_factory):
    """The workdirs of the same ten steps, on one device and on two processes."""
    folder = tmp_path_factory.mktemp("pair")
    for name, processes in (("one", 1), ("two", 2)):
        message = train(folder / name, 10, processes)
        assert f"{processes**2} cpu device" in message and "step 10/10" in message
    return folder / "one", folder / "two"


def numbers(text):
    """What a line of metrics, or a file of scores, holds beside times."""
    return {key: v for key, v in json.loads(text).items() if key not in CLOCKS}


def rows(workdir):
    return [*map(numbers, (workdir / "metrics.jsonl").read_text().splitlines())]


def flat(tree, name=""):
    """All numbers and words of a JSON tree by their place."""
    if not isinstance(tree, dict | list):
        return {name: tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {k: v for key, part in items for k, v in flat(part, f"{name}/{key}").items()}


def assert_alike(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, float):
            np.testing.assert_allclose(other[name], value, **CLOSE, err_msg=name)
        else:
            assert other[name] == value, name


def assert_same_weights(workdirs):
    one, other = (
        jax.tree.leaves(functional.split(opened.open_run(workdir, "last").model)[1])
        for workdir in workdirs
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_losses_and_evaluations_while_training(pair):
    one, two = map(rows, pair)
    assert [row["step"] for row in two] == [0, 2, 4, 5, 6, 8, 10, 10]
    assert_alike(one, two)


def test_the_final_weights(pair):
    assert_same_weights(pair)


def test_the_evaluation_at_the_end(pair):
    one, two = (numbers((workdir / "eval.json").read_text()) for workdir in pair)
    assert one["mse"]["forecast"] > 0
    assert_alike(one, two)


def test_a_checkpoint_of_four_devices_goes_on_with_one_and_the_other_way(pair, train):
    one, two = pair
    assert "resuming at step 10" in train(two, 14, 1)
    assert "resuming at step 10" in train(one, 14, 2)
    assert_same_weights(pair)
    assert_alike(*map(rows, pair))

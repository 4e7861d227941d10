"""What the benchmark of a training step reports; not how fast anything is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax import benchmark
from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.modules.layers import Conv
from nwm_jax.shell import benchmark_train
from nwm_jax.training import registry
from tests.helpers import tiny_forecasting, toy_task

NUMBERS = {
    "step_ms",
    "plain_step_ms",
    "ratio",
    "frames_per_s",
    "gflops",
    "matmul_gflops",
    "temp_mb",
    "plain_temp_mb",
    "fallback_step_ms",
    "fallback_temp_mb",
    "compile_s",
}


def run(*arguments):
    """Runs the verb in this process; its exit code."""
    for name in benchmark_train.FLAGS:
        benchmark_train.FLAGS[name].unparse()
    with pytest.raises(SystemExit) as end:
        benchmark.run(["benchmark", "train", *arguments])
    return end.value.code


class Upsampler(nnx.Module):
    def __init__(self, implementation, rngs):
        self.conv = Conv(3, 3, upsample=True, implementation=implementation, rngs=rngs)


class Convolving:
    """Makes images twice as large."""

    units_per_example = 6

    def __init__(self, config, counter=None):
        self.config = config
        self.graphdef = functional.split(nnx.eval_shape(lambda: self.init(0)))[0]

    def init(self, key):
        return Upsampler(self.config.conv, nnx.Rngs(key))

    def batch(self, step, rows):
        images = np.random.default_rng(step).uniform(size=(len(rows), 4, 4, 3))
        return {"images": images.astype(np.float32)}

    def loss(self, params, state, batch, key):
        conv = functional.merge(self.graphdef, params, state).conv
        loss = jnp.mean(jnp.sin(3 * conv(batch["images"])) ** 2)
        for _ in range(self.config.remat):  # as if something was computed again
            loss = loss + 0 * jnp.sum(batch["images"])
        return loss, ({}, state)


@pytest.fixture(scope="module")
def convolving():
    """Has the benchmark build a task of a single convolution."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_train, "build", Convolving)
        yield


def settings(**changes):
    config = toy_task.get_config(steps_per_dispatch=1, batch_size=4)
    with config.unlocked():
        config.update({"conv": "auto", "remat": 0, "protocol": "smoke"} | changes)
    return config


@pytest.fixture(scope="module")
def result(convolving):
    """On four devices, beside the plain formulation."""
    return benchmark_train.run(settings(), repeats=2, compare=True)


def test_everything_is_there(result):
    assert all(result[name] > 0 for name in NUMBERS)
    assert result["step_ms_least"] <= result["step_ms"] <= result["step_ms_most"]
    assert result["frames"] == 4 * 6 and result["repeats"] == 2
    assert result["ratio"] == pytest.approx(result["plain_step_ms"] / result["step_ms"])
    assert result["frames_per_s"] == pytest.approx(24 / result["step_ms"] * 1e3)
    assert result["gflops"] == pytest.approx(1e3 * result["gflop"] / result["step_ms"])
    assert result["device"] == f"{jax.device_count()} cpu"
    assert json.loads(json.dumps(result)) == result


def test_the_formulations_agree_in_every_array(result):
    assert result["disagree"] == []
    assert result["errors"].keys() == {"loss", "conv/kernel", "conv/bias"}
    assert max(result["errors"].values()) < benchmark_train.TOLERANCE
    message = benchmark_train.describe(result)
    assert "equal to 1e-05: at most" in message and "NOT" not in message


def test_another_config_is_measured_in_turn(convolving, monkeypatch, capsys):
    order = []
    go = benchmark_train._Step.go

    def noted(step):
        order.append(step.task.config.batch_size)
        go(step)

    monkeypatch.setattr(benchmark_train._Step, "go", noted)
    one, other = settings(conv="xla"), settings(conv="xla", batch_size=8)
    result = benchmark_train.run(one, repeats=2, against=other)
    assert order == [4, 8] * 3
    ratio = result["against_step_ms"] / result["step_ms"]
    assert result["against_ratio"] == pytest.approx(ratio)
    text = benchmark_train.describe(result)
    assert "batch 8: " in text and "(against over config)" in text
    flags = ["--config=adding_wrnn:smoke", "--against=adding_irnn:smoke"]
    assert run(*flags, "--compare") == 2
    assert "--compare and --against" in capsys.readouterr().err


def test_one_array_that_differs_is_named_and_the_exit_code_is_1(
    result, monkeypatch, capsys
):
    wrong = {"errors": {"loss": 1e-7, "cell/bias": 3e-5}, "disagree": ["cell/bias"]}
    seen = []

    def measured(config, repeats, **options):
        seen.append((config.name, repeats, options["compare"]))
        return result | wrong

    monkeypatch.setattr(benchmark_train, "run", measured)
    arguments = ("--config=pendulum_nwm2d:smoke", "--repeats=3", "--compare")
    assert run(*arguments) == 1
    assert "NOT equal to 1e-05: cell/bias 3e-05" in capsys.readouterr().out
    assert run(*arguments, "--json") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == result | wrong
    assert seen == [("pendulum_nwm2d", 3, True)] * 2


def test_errors_are_relative_to_the_norm_of_each_array():
    ones = np.ones(4, np.float32)
    assert benchmark_train._distance(1.01 * ones, ones) == pytest.approx(0.01, rel=1e-5)
    assert benchmark_train._distance(0.5 * ones, 0 * ones) == 1.0
    assert np.isnan(benchmark_train._distance(np.nan * ones, ones))


@pytest.mark.slow
def test_a_sequence_task_beside_a_scan_of_convolutions(capsys, monkeypatch):
    monkeypatch.setattr(benchmark_train, "build", registry.build)
    arguments = ("--config=adding_wrnn:smoke", "--repeats=1", "--json", "--compare")
    assert run(*arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["disagree"] == [] and report["conv"] == "auto"
    assert report["ratio"] > 0 and report["frames_per_s"] > 0
    assert {"cell/coupling", "readout/0/kernel"} < report["errors"].keys()


def test_rounding_of_the_plain_formulation_is_allowed(convolving, monkeypatch):
    """Gradients off by 3e-5 do not agree, unless the plain ones are off as much."""
    named = benchmark_train._named
    factors = iter([1.0 + 3e-5, 1.0, 1.0])  # ours, the plain ones, the exact ones

    def off(gradient, arguments):
        factor = next(factors)
        return {name: factor * a for name, a in named(gradient, arguments).items()}

    monkeypatch.setattr(benchmark_train, "_named", off)
    config = settings(conv="xla")
    errors, rounding = benchmark_train._errors(
        config, Convolving(config), Convolving(config)
    )
    assert min(errors.values()) > 2e-5 and max(rounding.values()) < 1e-6
    factors = iter([1.0, 1.0 + 3e-5, 1.0])
    errors, rounding = benchmark_train._errors(
        config, Convolving(config), Convolving(config)
    )
    assert max(errors.values()) < 1e-6 and min(rounding.values()) > 2e-5


def test_operations_are_those_of_the_plain_formulation(convolving, result):
    counts = {
        benchmark_train._operations(settings(conv=conv, remat=remat))
        for conv, remat in (("fast", 0), ("xla", 3))
    }
    assert counts == {round(1e9 * result["gflop"])}


def test_a_loss_that_is_not_finite_is_reported(convolving, monkeypatch):
    def batch(self, step, rows):
        return {"images": np.full((len(rows), 4, 4, 3), np.nan**step, np.float32)}

    monkeypatch.setattr(Convolving, "batch", batch)
    with pytest.raises(UserError, match="loss or gradient of step 2 is not finite"):
        benchmark_train.run(settings(conv="xla"), repeats=3)


@pytest.mark.slow
def test_a_forecaster(tmp_path, monkeypatch):
    """Also where the rounding of the plain one is more than what is allowed."""
    monkeypatch.setattr(benchmark_train, "build", registry.build)
    path = tiny_forecasting.write(tmp_path)
    config = tiny_forecasting.config(path, conv="fast", steps_per_dispatch=1)
    result = benchmark_train.run(config, repeats=1, compare=True)
    assert result["disagree"] == [] and result["frames"] == 4 * 6
    assert {"loss", "cell/bias", "decoder/convs/6/kernel"} < result["errors"].keys()

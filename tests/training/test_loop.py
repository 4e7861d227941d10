"""The loop: exact resume, grouping of steps, devices, NaN, best, stop, signals."""

import json
import os
import resource
import signal

import jax
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import checkpoint, loop, non_finite, writers
from tests.helpers import toy_task

CLOCKS = {"steps_per_s", "frames_per_s", "seconds", "cpu_seconds"}


class Interrupted(toy_task.Toy):
    """Sends this process a signal when batch `at` is made."""

    def __init__(self, at, number=signal.SIGTERM):
        super().__init__()
        self.at, self.number = at, number

    def batch(self, step, rows):
        if step == self.at:
            os.kill(os.getpid(), self.number)
        return super().batch(step, rows)


def rows_of(workdir):
    """The rows of metrics.jsonl without the clocks."""
    return [
        {k: v for k, v in row.items() if k not in CLOCKS}
        for row in writers.read_metrics(workdir)
    ]


def test_a_run_leaves_what_it_should(straight):
    result, workdir = straight
    assert result.finished and int(result.state.step) == 60
    # What is not a parameter is carried along.
    assert float(result.state.state["calls"]) == 60
    assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == ["40", "60"]
    rows = rows_of(workdir)
    assert [r["step"] for r in rows if r["kind"] == "train"] == [10, 20, 30, 40, 50, 60]
    assert [r["step"] for r in rows if r["kind"] == "eval"] == [0]
    train = [r for r in rows if r["kind"] == "train"]
    assert train[-1]["loss"] < 0.3 * train[0]["loss"]
    assert train[0].keys() >= {"loss", "rmse", "grad_norm", "learning_rate"}
    config = json.loads((workdir / "config.json").read_text())
    assert config["config"]["model"]["grid"] == [5, 5]
    assert config["versions"]["jax"] == jax.__version__
    assert config["command_line"]


@pytest.mark.parametrize("at", [3, 20, 47])
def test_resume_is_exact_wherever_a_run_is_interrupted(
    at, straight, same_bits, tmp_path, capsys
):
    first = loop.train(toy_task.get_config(), Interrupted(at), tmp_path)
    assert not first.finished and abs(int(first.state.step) - at) <= 5
    assert "run the same command again to go on" in capsys.readouterr().out
    second = loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path)
    assert f"resuming at step {int(first.state.step)}" in capsys.readouterr().out
    assert second.finished
    same_bits(second.state, straight[0].state)
    assert rows_of(tmp_path) == rows_of(straight[1])


def test_how_steps_are_grouped_does_not_matter(straight, same_bits, tmp_path):
    changes = {
        "steps_per_dispatch": 3,
        "log_every": 7,
        "checkpoint_every": 13,
        "eval.every": 11,
    }
    result = loop.train(toy_task.get_config(**changes), toy_task.Toy(), tmp_path)
    same_bits(result.state, straight[0].state)


def test_one_step_a_dispatch_is_a_program_without_a_loop(straight, tmp_path):
    """Another program, so equal only to rounding."""
    config = toy_task.get_config(steps_per_dispatch=1)
    result = loop.train(config, toy_task.Toy(), tmp_path)
    for one, five in zip(
        jax.tree.leaves(result.state),
        jax.tree.leaves(straight[0].state),
        strict=True,
    ):
        np.testing.assert_allclose(one, five, rtol=1e-5, atol=1e-6)


def test_one_device_equals_four(straight, tmp_path):
    assert jax.device_count() == 4
    one = loop.train(
        toy_task.get_config(), toy_task.Toy(), tmp_path, devices=jax.devices()[:1]
    ).state
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(straight[0].state), strict=True)
    for a, b in leaves:
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5, rtol=1e-5)
    for a, b in zip(rows_of(tmp_path), rows_of(straight[1]), strict=True):
        assert a.keys() == b.keys() and a["kind"] == b["kind"]
        for name in a.keys() - {"kind"}:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5)


def test_a_batch_must_divide_among_the_devices(tmp_path):
    with pytest.raises(UserError, match=r"batch_size=6 .* 4 devices; .* such as 8"):
        loop.train(toy_task.get_config(batch_size=6), toy_task.Toy(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("field", ["num_steps", "log_every", "checkpoint_every"])
def test_intervals_must_be_positive(field, tmp_path):
    with pytest.raises(UserError, match=f"{field}=0 must be 1 or more"):
        loop.train(toy_task.get_config(**{field: 0}), toy_task.Toy(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_processor_time_adds_up_over_interruptions(tmp_path):
    def spent():
        rows = writers.read_metrics(tmp_path)
        return [row["cpu_seconds"] for row in rows if row["kind"] == "train"]

    loop.train(toy_task.get_config(num_steps=20), toy_task.Toy(), tmp_path)
    first = spent()
    assert 0 < first[0] <= first[1]
    loop.train(toy_task.get_config(num_steps=40), toy_task.Toy(), tmp_path)
    assert spent()[:2] == first and sorted(spent()) == spent()


def test_a_task_is_followed_by_its_validation(tmp_path):
    class Followed(toy_task.Toy):
        """Its own scores are those of a test set."""

        validation = toy_task.Toy()

        def eval_batch(self, indices):
            raise AssertionError("training looked at the test set")

    config = toy_task.get_config(**{"eval.every": 30})
    assert loop.train(config, Followed(), tmp_path).finished
    rows = writers.read_metrics(tmp_path)
    assert [r["step"] for r in rows if r["kind"] == "eval"] == [0, 30, 60]


def test_not_finite_stops_with_a_dump(tmp_path, same_bits):
    task = toy_task.Toy(bad_step=33)
    with pytest.raises(
        non_finite.NonFiniteError, match=r"not finite in step 34.*step 20 is"
    ) as caught:
        loop.train(toy_task.get_config(), task, tmp_path)
    assert caught.value.step == 33 and not np.isfinite(caught.value.metrics["loss"])
    report = json.loads((tmp_path / "nan_dump.json").read_text())
    assert report["step"] == 33 and report["metrics"]["loss"] in ("nan", "inf")
    with np.load(tmp_path / "nan_dump.npz", allow_pickle=False) as dump:
        same_bits(dict(dump), task.batch(33, np.arange(8)))
    assert checkpoint.Checkpointer(tmp_path / "checkpoints").steps() == [20]
    # The same command meets the same batch, whatever the grouping.
    with pytest.raises(non_finite.NonFiniteError, match="not finite in step 34"):
        loop.train(toy_task.get_config(), task, tmp_path)


def test_the_best_checkpoint_is_kept(tmp_path):
    class Rising(toy_task.Toy):
        """Its score is best at the evaluation of step 20."""

        scores = iter([5.0, 3.0, 1.0, 2.0, 4.0, 5.0, 6.0])

        def summarise(self, scores):
            return {"error": {"mean": next(self.scores)}}

    config = toy_task.get_config(**{"eval.every": 10, "checkpoint_every": 15})
    task = Rising()
    loop.train(config, task, tmp_path)
    saver = checkpoint.Checkpointer(tmp_path / "checkpoints", task.best)
    assert saver.steps() == [20, 45, 60]
    assert saver.best_value() == 1.0
    assert checkpoint.load(tmp_path, task, "best")[0] == 20
    assert checkpoint.load(tmp_path, task, "last")[0] == 60
    assert checkpoint.load(tmp_path, task, 45)[0] == 45


def test_how_many_examples_an_evaluation_sees(tmp_path, capsys):
    task = toy_task.Toy()
    task.num_eval, task.num_periodic = 200, 100
    loop.train(toy_task.get_config(**{"eval.every": 60}), task, tmp_path / "own")
    out = capsys.readouterr().out
    assert "evaluated 4 examples at step 0" in out
    assert "evaluated 100 examples at step 60" in out
    del task.num_periodic
    loop.train(toy_task.get_config(**{"eval.every": 60}), task, tmp_path / "default")
    assert "evaluated 64 examples at step 60" in capsys.readouterr().out


def test_without_evaluations_the_best_is_the_last(straight):
    assert checkpoint.load(straight[1], toy_task.Toy(), "best")[0] == 60


def test_a_missing_best_metric_is_told_at_once(tmp_path):
    task = toy_task.Toy()
    task.best = ("accuracy", "max")
    with pytest.raises(UserError, match=r"no 'accuracy'.*it has error/mean, num"):
        loop.train(toy_task.get_config(), task, tmp_path)


def test_a_task_can_stop_and_stays_stopped(tmp_path, capsys):
    task = toy_task.Toy()
    task.stop = lambda metrics: "solved" if metrics["loss"] < 0.2 else None
    result = loop.train(toy_task.get_config(), task, tmp_path)
    step = int(result.state.step)
    assert result.finished and result.reason == "solved" and step < 60
    assert f"stopped at step {step}: solved" in capsys.readouterr().out
    again = loop.train(toy_task.get_config(), task, tmp_path)
    assert again.finished and int(again.state.step) == step


def test_a_finished_run_can_be_made_longer(straight, tmp_path, capsys):
    flat = {"optimizer.schedule": "constant"}
    loop.train(toy_task.get_config(**flat), toy_task.Toy(), tmp_path)
    assert "nothing left" not in capsys.readouterr().out
    loop.train(toy_task.get_config(**flat), toy_task.Toy(), tmp_path)
    assert "nothing left to train: all steps are done" in capsys.readouterr().out
    more = loop.train(
        toy_task.get_config(num_steps=70, **flat), toy_task.Toy(), tmp_path
    )
    assert int(more.state.step) == 70
    assert [r["step"] for r in rows_of(tmp_path)][-2:] == [60, 70]


def test_a_disk_that_is_full_ends_a_run_that_can_go_on(straight, same_bits, tmp_path):
    loop.train(toy_task.get_config(), Interrupted(20), tmp_path)
    saved = checkpoint.Checkpointer(tmp_path / "checkpoints").steps()[-1]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(UserError, match=f"File too large; .* {saved} is intact"):
            loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoint.Checkpointer(tmp_path / "checkpoints").steps()[-1] == saved
    result = loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path)
    same_bits(result.state, straight[0].state)
    assert rows_of(tmp_path) == rows_of(straight[1])


def test_signal_handlers_are_given_back(straight, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    loop.train(toy_task.get_config(), Interrupted(3, signal.SIGINT), tmp_path)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_seeds_differ(straight, tmp_path):
    other = loop.train(toy_task.get_config(seed=1), toy_task.Toy(), tmp_path).state
    kernels = [s.params["layers"][0]["kernel"] for s in (other, straight[0].state)]
    assert np.abs(np.subtract(*map(np.asarray, kernels))).max() > 1e-3

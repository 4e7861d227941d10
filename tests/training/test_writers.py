"""The log of metrics; TensorBoard and W&B, with stand-ins for their packages."""

import sys
import types

import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import writers
from tests.helpers import toy_task


class Calls(list):
    """Remembers every call of any method as `(name, arguments, options)`."""

    def __getattr__(self, name):
        return lambda *args, **options: self.append((name, args, options))

    def of(self, name):
        return [call[1:] for call in self if call[0] == name]


@pytest.fixture
def board(monkeypatch):
    """The event files that were opened: `(folder, purge_step, calls)`."""
    opened = []

    def make(folder, purge_step=None):
        opened.append((folder, purge_step, Calls()))
        return opened[-1][2]

    module = types.SimpleNamespace(SummaryWriter=make)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return opened


@pytest.fixture
def service(monkeypatch):
    """The runs of W&B that were begun: `(options of init, calls)`."""
    begun = []

    def init(**options):
        begun.append((options, Calls()))
        return begun[-1][1]

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    return begun


def run(writer, *steps):
    for step in steps:
        writer.write("train", step, {"loss": step / 4})
    writer.close()


def test_tensorboard_gets_every_value(board, tmp_path):
    writer = writers.TensorBoard(tmp_path, None)
    writer.write("train", 10, {"loss": 0.5, "grad_norm": 2.0})
    writer.write("eval", 20, {"error/mean": 0.25})
    writer.close()
    ((folder, _, calls),) = board
    assert folder == str(tmp_path / "tensorboard")
    assert [args for args, _ in calls.of("add_scalar")] == [
        ("train/loss", 0.5, 10),
        ("train/grad_norm", 2.0, 10),
        ("eval/error/mean", 0.25, 20),
    ]
    # A killed run must not lose what it has told.
    assert [name for name, *_ in calls][-2:] == ["flush", "close"]


@pytest.mark.parametrize(("step", "purge"), [(None, 0), (0, 1), (20, 21)])
def test_tensorboard_hides_what_comes_again(step, purge, board, tmp_path):
    run(writers.TensorBoard(tmp_path, step))
    assert [row[1] for row in board] == [purge]


def test_wandb_goes_on_in_the_same_run_and_drops_no_row(service, tmp_path):
    run(writers.WandB(tmp_path, "waves", {"seed": 1}, None), 10, 20, 30)
    run(writers.WandB(tmp_path, "waves", {"seed": 1}, 20), 30, 40)
    first, second = (options for options, _ in service)
    assert first == second and len(first["id"]) == 12
    assert first["project"] == "waves" and first["dir"] == str(tmp_path)
    assert first["resume"] == "allow" and first["config"] == {"seed": 1}
    for (_, calls), steps in zip(service, [(10, 20, 30), (30, 40)], strict=True):
        # No `step=` of W&B, below whose last value rows are dropped.
        assert calls.of("log") == [
            (({"step": step, "train/loss": step / 4},), {}) for step in steps
        ]
        assert calls.of("define_metric") == [
            (("train/*",), {"step_metric": "step"}),
            (("eval/*",), {"step_metric": "step"}),
        ]
        assert calls[-1][0] == "finish"


def test_wandb_takes_a_new_run_when_training_starts_afresh(service, tmp_path):
    for _ in range(2):
        run(writers.WandB(tmp_path, "waves", {}, None), 10)
    run(writers.WandB(tmp_path, "waves", {}, 10), 20)
    ids = [options["id"] for options, _ in service]
    assert ids[0] != ids[1] == ids[2]


def test_what_the_config_asks_for_is_built(board, service, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    config = toy_task.get_config(tensorboard=True, wandb="waves")
    built = writers.build(config, tmp_path, 10)
    assert [type(writer).__name__ for writer in built] == [
        "JsonLines",
        "TensorBoard",
        "WandB",
    ]
    writers.write_all(built, "eval", 20, {"error": 1})
    for writer in built:
        writer.close()
    assert board[0][1] == 11 and service[0][0]["config"] == config.to_dict()
    assert writers.read_metrics(tmp_path) == [
        {"step": 20, "kind": "eval", "error": 1.0}
    ]
    (built,) = writers.build(toy_task.get_config(), tmp_path, 10)
    built.close()


@pytest.mark.parametrize("package", ["tensorboardX", "wandb"])
def test_a_missing_package_is_one_line(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match="pip install"):
        if package == "wandb":
            writers.WandB(tmp_path, "waves", {}, None)
        else:
            writers.TensorBoard(tmp_path, None)


def test_numbers_that_json_does_not_have_are_left_out(tmp_path):
    writer = writers.JsonLines(tmp_path, None)
    values = {"loss": 0.5, "relative_mse": float("nan"), "mse": float("inf")}
    writers.write_all([writer], "train", 1, values)
    writer.close()
    assert writers.read_metrics(tmp_path) == [{"step": 1, "kind": "train", "loss": 0.5}]
    assert "NaN" not in (tmp_path / writers.METRICS).read_text()

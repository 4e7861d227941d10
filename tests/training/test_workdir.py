"""The workdir: lock, config, what may change; and the files in it."""

import json
import sys

import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import checkpoint, loop, workdir, writers
from tests.helpers import toy_task


def claim(folder, **changes):
    return workdir.claim(folder, toy_task.get_config(**changes))


def test_the_second_run_is_refused(tmp_path):
    with (
        workdir.locked(tmp_path / "run"),
        pytest.raises(UserError, match=r"another run is training in .*run; wait"),
    ):
        loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path / "run")
    with workdir.locked(tmp_path / "run"):
        pass


def test_a_workdir_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to the workdir .*: Not a dir"):
        loop.train(toy_task.get_config(), toy_task.Toy(), tmp_path / "file" / "run")


@pytest.mark.parametrize("kept", ["checkpoints/5", "checkpoints/5.saving", "eval.json"])
def test_another_config_is_refused_and_named(tmp_path, kept):
    claim(tmp_path)
    (tmp_path / kept).mkdir(parents=True)
    with pytest.raises(UserError) as error:
        claim(
            tmp_path,
            **{"optimizer.learning_rate": 0.5, "model.grid": (7, 7), "seed": 3},
        )
    assert (
        "(model.grid: [5, 5] -> [7, 7]; optimizer.learning_rate: 0.01 -> 0.5; "
        "seed: 0 -> 3)"
    ) in str(error.value)
    assert "\n" not in str(error.value)
    # The file still holds the old one.
    assert json.loads((tmp_path / "config.json").read_text())["config"]["seed"] == 0


def test_a_preset_that_has_changed_is_named(tmp_path):
    named = {"preset": "laptop", "protocol": "laptop + batch_size=4"}
    now = {"preset": "laptop", "protocol": "laptop-v2 + batch_size=4"}
    claim(tmp_path, **named)
    line = "the preset laptop has changed since this run began: its protocol was laptop"
    (note,) = claim(tmp_path, **now)
    assert note.startswith(f"note: {line} and is laptop-v2")
    assert claim(tmp_path, **now) == []
    claim(tmp_path, **named)
    (tmp_path / "checkpoints" / "20").mkdir(parents=True)
    with pytest.raises(UserError, match=f"seed: 0 -> 3.*; {line}"):
        claim(tmp_path, **now, seed=3)


def test_a_config_without_a_step_may_be_corrected(tmp_path):
    claim(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (note,) = claim(tmp_path, seed=3)
    assert "a run without a step" in note and "seed: 0 -> 3" in note
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["config"]["seed"] == 3 and "resumed" not in content
    assert claim(tmp_path, seed=3) == []


@pytest.mark.parametrize(
    "content",
    [
        {"config": {}},
        {"config": {"name": "toy", "seed": 0, "batch_size": 8}},
        {"config": toy_task.get_config().to_dict() | {"optimizer": {}}},
        {"config": toy_task.get_config().to_dict() | {"seed": "0"}},
        {"config": toy_task.get_config().to_dict() | {"model": [1]}},
        {"config": toy_task.get_config().to_dict(), "resumed": 5},
        {"config": toy_task.get_config().to_dict(), "versions": ["jax"]},
        {"config": [1]},
        {},
        [],
        None,
    ],
)
def test_an_emptied_or_foreign_config_is_not_resumed(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    before = path.read_text()
    with pytest.raises(UserError, match="does not hold the config of a run") as error:
        claim(tmp_path, seed=1)
    assert len(str(error.value)) <= 300 and path.read_text() == before


@pytest.mark.parametrize("name", ["a[1]", "a\\b", "gs:/run", "a\udcffb", "[x/y]", ""])
def test_a_path_that_checkpoints_cannot_be_read_from_is_refused(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"checkpoints cannot be stored|is empty"):
        loop.train(toy_task.get_config(), toy_task.Toy(), name)
    assert not list(tmp_path.iterdir())
    (tmp_path / "c[2]").mkdir()
    monkeypatch.chdir(tmp_path / "c[2]")
    with pytest.raises(UserError, match="checkpoints cannot be stored"):
        loop.train(toy_task.get_config(), toy_task.Toy(), "run")


def test_other_odd_paths_are_written_and_read(tmp_path, same_bits):
    odd = ["a[", "{x}", "*?", "a b", "#%20", "~", "a:b", "é日", "a\nb", "-x", "$(y)"]
    workdir = tmp_path.joinpath(*odd)
    result = loop.train(toy_task.get_config(num_steps=10), toy_task.Toy(), workdir)
    step, params, _ = checkpoint.load(workdir, toy_task.Toy())
    assert step == 10
    same_bits(params, result.state.params)


def test_what_may_change(tmp_path):
    claim(tmp_path)
    free = {
        "num_steps": 99,
        "log_every": 3,
        "checkpoint_every": 4,
        "eval.every": 5,
        "eval.batch_size": 6,
        "data.path": "elsewhere",
        "data.cache_dir": "there",
        "tensorboard": True,
        "wandb": "project",
    }
    assert claim(tmp_path, **free) == []
    stored = json.loads((tmp_path / "config.json").read_text())["config"]
    assert stored["num_steps"] == 99 and stored["wandb"] == "project"


def test_lost_fields_count_and_new_ones_do_not():
    old = {"a": {"b": 1}, "c": [1, 2]}
    assert workdir.differences(old, {"a": {"b": 1}, "c": [1, 2]}) == []
    assert workdir.differences(old, {"a": {"b": 1, "d": 0}, "c": [1, 2]}) == []
    assert workdir.differences(old, {"a": {"b": 1, "d": 0}}) == ["c: [1, 2] -> (none)"]


def test_a_run_of_an_older_version_goes_on(tmp_path):
    claim(tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    del content["config"]["optimizer"]["clip"]
    path.write_text(json.dumps(content))
    assert claim(tmp_path) == []
    assert json.loads(path.read_text())["config"]["optimizer"]["clip"] == 1.0


def test_another_version_is_reported(tmp_path):
    claim(tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    content["versions"]["jax"] = "0.0.1"
    path.write_text(json.dumps(content))
    for count in (1, 2):
        (note,) = claim(tmp_path)
        assert "jax 0.0.1 -> " in note
        content = json.loads(path.read_text())
        assert content["versions"]["jax"] == "0.0.1"
        assert len(content["resumed"]) == count


def test_the_first_command_and_the_later_ones_are_kept(tmp_path, monkeypatch):
    for command in ("train", "resume", "resume again"):
        monkeypatch.setattr(sys, "orig_argv", ["python", *command.split()])
        claim(tmp_path, num_steps=len(command))
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["command_line"].endswith(" train")
    assert [row["command_line"].split()[1:] for row in content["resumed"]] == [
        ["resume"],
        ["resume", "again"],
    ]
    assert content["resumed"][0]["versions"] == content["versions"]
    assert content["config"]["num_steps"] == len("resume again")


def test_metrics_are_cut_at_the_resumed_step(tmp_path):
    first = writers.JsonLines(tmp_path, None)
    for step in (0, 10, 20, 30):
        first.write("train", step, {"loss": step / 7})
    first.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 40, "ki')
    second = writers.JsonLines(tmp_path, 20)
    second.write("train", 30, {"loss": 1.0})
    rows = writers.read_metrics(tmp_path)
    assert [row["step"] for row in rows] == [0, 10, 20, 30]
    assert rows[2] == {"step": 20, "kind": "train", "loss": 20 / 7}
    assert rows[3]["loss"] == 1.0
    writers.JsonLines(tmp_path, None)
    assert writers.read_metrics(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "package"),
    [({"tensorboard": True}, "tensorboardX"), ({"wandb": "p"}, "wandb")],
)
def test_a_missing_package_is_told_before_anything_is_made(
    change, package, tmp_path, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"needs the package {package}: pip install"):
        loop.train(toy_task.get_config(**change), toy_task.Toy(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_reach_every_writer(straight, tmp_path):
    class Collect(list):
        closed = False

        def write(self, kind, step, values):
            self.append((kind, step, set(values)))

        def close(self):
            self.closed = True

    extra = Collect()
    config = toy_task.get_config(**{"num_steps": 20, "eval.every": 10})
    loop.train(config, toy_task.Toy(), tmp_path, writers=[extra])
    assert [row[:2] for row in extra] == [
        ("eval", 0),
        ("train", 10),
        ("eval", 10),
        ("train", 20),
        ("eval", 20),
    ]
    assert extra.closed and extra[0][2] == {"error/mean", "num"}

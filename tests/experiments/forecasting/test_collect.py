"""What a table reads of workdirs, and what it names and leaves out."""

import json

import pytest

from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import collect
from nwm_jax.experiments.sequences import table
from nwm_jax.runs import workdirs
from tests.helpers import made_workdirs


@pytest.fixture
def folder(tmp_path):
    return made_workdirs.several(tmp_path)


def test_runs_that_cannot_be_read_are_named(folder):
    for name, files in {
        "empty": {},
        "running": {"config.json": '{"config": {}}'},
        "torn": {"config.json": '{"config": {', "eval.json": "{}"},
        "odd": {"config.json": '{"config": {"data": 3}}', "eval.json": "[]"},
    }.items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text)
    (folder / "log.txt").write_text("not a folder")
    made_workdirs.run(folder / "more", "spring_nwm2d", 99.0)  # the same seed again
    made_workdirs.run(folder, "two_body_ar", 5.0, step=500)
    made_workdirs.run(folder, "spring_ode", table_units={"forecast": "x"})
    entries, notes = collect.collect(workdirs.find([f"{folder}/*", f"{folder}/more/*"]))
    assert len(entries) == 6
    message = dict(
        note.removeprefix(f"skipped {folder}/").split(": ", 1) for note in notes
    )
    assert message["empty"] == "not a workdir (it has no config.json)"
    assert message["more"] == "not a workdir (it has no config.json)"
    assert message["running"] == "not evaluated (it has no eval.json)"
    assert "is not readable JSON" in message["torn"]
    assert "not that of a run" in message["odd"]
    assert "not that of a run" in message["spring_ode_laptop_0"]
    assert message["spring_nwm2d_laptop_0"].startswith("the same as ")
    assert any("was evaluated at step 500 of 4,000" in note for note in notes)
    assert len(notes) == 8


def test_nothing_to_tabulate(tmp_path):
    with pytest.raises(UserError, match="no evaluated run"):
        collect.collect(workdirs.find([f"{tmp_path}/*"]))
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="not a workdir"):
        collect.collect(workdirs.find([f"{tmp_path}/*"]))


def test_a_run_without_the_measure_is_named(tmp_path):
    made_workdirs.run(tmp_path, "spring_ode", vpt={"segment": 3})
    made_workdirs.run(tmp_path, "spring_ar")
    entries, notes = collect.collect(workdirs.find([f"{tmp_path}/*"]), "vpt")
    assert [entry.model for entry in entries] == ["ar"]
    assert "not that of a run" in notes[0] and "forward_abs" in notes[0]


def test_movies_of_ones_own_are_named_by_their_file(tmp_path):
    (tmp_path / "birds").touch()
    for model, path in (
        ("ar", "/data/clips/frames.npy"),
        ("ode", "frames.npy"),
        ("hgn", f"{tmp_path}/birds"),
        ("rgn", "/data/pendulum"),  # a folder of records that is no longer there
    ):
        workdir = made_workdirs.run(tmp_path, f"pendulum_{model}")
        config = json.loads((workdir / "config.json").read_text())
        config["config"]["data"]["path"] = path
        (workdir / "config.json").write_text(json.dumps(config))
    entries, _ = collect.collect(workdirs.find([f"{tmp_path}/*"]))
    assert {entry.model: entry.dataset for entry in entries} == {
        "ar": "clips/frames.npy",
        "ode": "frames.npy",
        "hgn": f"{tmp_path.name}/birds",
        "rgn": "data/pendulum",
    }
    (block,) = made_workdirs.blocks(tmp_path)
    assert not any(place[1] == "published" for place in block.cells)


def test_data_is_what_it_is_and_not_what_a_config_calls_it(tmp_path):
    def run(model, place, **fields):
        workdir = made_workdirs.run(tmp_path / "runs", f"pendulum_{model}", **fields)
        config = json.loads((workdir / "config.json").read_text())
        config["config"]["data"]["path"] = str(place)
        (workdir / "config.json").write_text(json.dumps(config))

    def records(folder, others, generated=None):
        folder.mkdir(parents=True)
        lines = [f"other/{name}, (1,), float64" for name in others]
        lines += ["x, (64, 2), float64", "image, (64, 32, 32, 3), uint8"]
        (folder / "features.txt").write_text("\n".join(lines))
        if generated:
            text = json.dumps({"dataset": generated})
            (folder / "generate.json").write_text(text)
        return folder

    others = ("color_index", "g", "l", "m", "offset")
    run("ar", records(tmp_path / "pendulum", others, "pendulum_colors"))
    run("ode", records(tmp_path / "toy" / "pendulum", others))
    run("hgn", records(tmp_path / "other" / "pendulum", ("k", "m")))
    run("rgn", records(tmp_path / "own", others))
    run("lgn", "/gone/mine", path="/gone/mine", dataset="mass_spring")
    entries, _ = collect.collect(workdirs.find([f"{tmp_path}/runs/*"]))
    assert {entry.model: entry.dataset for entry in entries} == {
        "ar": "pendulum_colors",
        "ode": "pendulum",
        "hgn": "other/pendulum",
        "rgn": f"{tmp_path.name}/own",
        "lgn": "spring",
    }
    (block,) = made_workdirs.blocks(tmp_path / "runs")
    rows = {place[0] for place in block.cells if place[1] == "published"}
    assert rows == {"pendulum", "spring"}


@pytest.mark.parametrize("read", [collect.read, table.read])
@pytest.mark.parametrize("damage", ["folder", '{"seed": Infinity}', "locked", "[]"])
def test_what_cannot_be_read_is_an_error_of_the_run(
    damage, read, tmp_path, monkeypatch
):
    workdir = made_workdirs.run(tmp_path, "spring_ar")
    path = workdir / "eval.json"
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "locked":
        open_ = type(path).open

        def refuse(self, *arguments, **options):
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return open_(self, *arguments, **options)

        monkeypatch.setattr(type(path), "open", refuse)
    elif damage == "[]":
        path.write_text(damage)
    else:
        stored = json.loads(path.read_text()) | {"num_weights": 3}
        stored["seed"] = float("inf")
        path.write_text(json.dumps(stored))
    message = {
        "folder": "is a folder",
        "locked": "cannot be read .Permission denied",
    }
    with pytest.raises(UserError, match=message.get(damage, "not that of a run")):
        read(workdir)


def test_a_folder_that_is_locked_is_named(tmp_path, monkeypatch):
    made_workdirs.run(tmp_path, "spring_ar")
    locked = made_workdirs.run(tmp_path, "spring_ode")
    exists = type(locked).exists

    def refuse(self):
        if self.parent == locked:
            raise PermissionError(13, "Permission denied", str(self))
        return exists(self)

    monkeypatch.setattr(type(locked), "exists", refuse)
    entries, notes = collect.collect(workdirs.find([f"{tmp_path}/*"]))
    assert [entry.model for entry in entries] == ["ar"]
    assert len(notes) == 1 and "Permission denied" in notes[0]
    assert table.collect([locked])[1] == notes

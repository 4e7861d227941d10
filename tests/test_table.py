"""The table of many runs: what it reads, how it counts, how it prints."""

import csv
import io
import json
import math

import pytest

from nwm_jax import cli, presets, table
from nwm_jax.comparison import collect, published, write
from nwm_jax.comparison.table import Cell, build
from nwm_jax.errors import UserError


def make_run(
    folder, name, score=10.0, *, seed=0, step=4_000, preset="laptop", **fields
):
    """A workdir with what the table reads of it."""
    workdir = folder / f"{name}_{preset}_{seed}"
    workdir.mkdir(parents=True)
    config = presets.load(f"{name}:{preset},seed={seed}").to_dict()
    (workdir / "config.json").write_text(json.dumps({"config": config}))
    errors = {"forecast": score, "mean_image": 1700.0, "last_frame": 2800.5}
    relative = {
        who: None if error is None else error * 3072e-8 for who, error in errors.items()
    }
    report = {
        "protocol": config["protocol"],
        "seed": seed,
        "step": step,
        "num_windows": 512,
        "num_parameters": 1_061_297,
        "table_units": errors,
        "relative_mse": relative,
        "mse": relative,
        "vpt": {"forward_abs": score, "forward_rel": 0.5, "last_frame_abs": 2.0},
    } | fields
    (workdir / "eval.json").write_text(json.dumps(report))
    return workdir


@pytest.fixture
def folder(tmp_path):
    """Two seeds of one cell, a second model, a second dataset, a second protocol."""
    make_run(tmp_path, "spring_nwm2d", 8.0)
    make_run(tmp_path, "spring_nwm2d", 12.0, seed=1)
    make_run(tmp_path, "mass_spring_hgn", 9.5)
    make_run(tmp_path, "pendulum_rgn", 1138.25)
    make_run(tmp_path, "spring_hgn", 3.0, preset="paper", step=500_000)
    return tmp_path


def blocks_of(folder, measure="table_units"):
    return build(collect.collect([f"{folder}/*"], measure)[0], measure)


def test_cells(folder):
    paper, laptop = blocks_of(folder)
    assert (paper.protocol, laptop.protocol) == ("paper", "laptop")
    assert laptop.datasets == ["spring", "pendulum"]
    assert laptop.models == ["ar", "hgn", "ode", "cornn", "nwm2d", "nwm1d", "rgn"]
    ours = laptop.cells["spring", "forecast", "nwm2d"]
    assert ours == Cell(10.0, math.sqrt(8.0), 2, best=False)
    other = laptop.cells["spring", "forecast", "hgn"]
    assert (other.mean, other.seeds, other.best) == (9.5, 1, True)
    assert math.isnan(other.std)
    assert laptop.cells["spring", "last_frame", "nwm2d"].mean == 2800.5
    # Nothing of the other protocol, nothing where there is no run.
    assert paper.cells["spring", "forecast", "hgn"].mean == 3.0
    assert ("spring", "forecast", "nwm2d") not in paper.cells
    assert ("spring", "forecast", "ar") not in laptop.cells
    # The published row, with its own best; nothing was published for rgn.
    assert laptop.cells["pendulum", "published", "nwm2d"] == Cell(110.9, best=True) or (
        laptop.cells["pendulum", "published", "nwm2d"][::3] == (110.9, True)
    )
    assert not laptop.cells["pendulum", "published", "ode"].best
    assert ("pendulum", "published", "rgn") not in laptop.cells


def test_published_numbers():
    assert published.score("two_body", "nwm1d", "table_units") == 0.9
    assert published.score("double_pendulum", "ar", "table_units") == 3905.0
    # Relative MSE as the benchmark would report it without the second division.
    assert published.score("pendulum", "ar", "relative_mse") == pytest.approx(
        0.12926976
    )
    for name in (
        ("spring", "ar", "mse"),
        ("spring", "rgn", "table_units"),
        ("x", "ar", "mse"),
    ):
        assert math.isnan(published.score(*name))


def test_measures(folder):
    laptop = blocks_of(folder, "relative_mse")[1]
    found = laptop.cells["spring", "forecast", "nwm2d"].mean
    assert found == pytest.approx(10 * 3072e-8)
    # A longer valid time is better, and nobody published it.
    laptop = blocks_of(folder, "vpt")[1]
    assert laptop.cells["spring", "forecast", "nwm2d"].best
    assert {row for _, row, _ in laptop.cells} == {"forecast", "last_frame"}
    assert laptop.cells["pendulum", "last_frame", "rgn"].mean == 2.0


def test_where_all_are_equal_none_is_best(tmp_path):
    for model in ("ar", "hgn"):
        make_run(tmp_path, f"spring_{model}", 0.0)
    (block,) = blocks_of(tmp_path)
    assert not block.cells["spring", "forecast", "ar"].best
    make_run(tmp_path, "spring_ode", 1.0)
    (block,) = blocks_of(tmp_path)
    best = {
        model
        for model in block.models
        if ("spring", "forecast", model) in block.cells
        and block.cells["spring", "forecast", model].best
    }
    assert best == {"ar", "hgn"}


def test_runs_that_cannot_be_read_are_named(folder):
    for name, files in {
        "empty": {},
        "running": {"config.json": "{}"},
        "torn": {"config.json": '{"config": {', "eval.json": "{}"},
        "odd": {"config.json": '{"config": {"data": 3}}', "eval.json": "[]"},
    }.items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text)
    (folder / "log.txt").write_text("not a folder")
    make_run(folder / "more", "spring_nwm2d", 99.0)  # the same seed again
    make_run(folder, "two_body_ar", 5.0, step=500)
    make_run(folder, "spring_ode", table_units={"forecast": "x"})
    entries, notes = collect.collect([f"{folder}/*", f"{folder}/more/*"])
    assert len(entries) == 6
    told = dict(
        note.removeprefix(f"skipped {folder}/").split(": ", 1) for note in notes
    )
    assert told["empty"] == "not a workdir (it has no config.json)"
    assert told["more"] == "not a workdir (it has no config.json)"
    assert told["running"] == "not evaluated (it has no eval.json)"
    assert "is not readable JSON" in told["torn"]
    assert "not that of a run" in told["odd"]
    assert "not that of a run" in told["spring_ode_laptop_0"]
    assert told["spring_nwm2d_laptop_0"].startswith("the same as ")
    assert any("was evaluated at step 500 of 4,000" in note for note in notes)
    assert len(notes) == 8


def test_nothing_to_tabulate(tmp_path):
    with pytest.raises(UserError, match="no evaluated run in .*nothing matches"):
        collect.collect([f"{tmp_path}/*"])
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="not a workdir"):
        collect.collect([f"{tmp_path}/*"])


def test_a_run_without_the_measure_is_named(tmp_path):
    make_run(tmp_path, "spring_ode", vpt={"segment": 3})
    make_run(tmp_path, "spring_ar")
    entries, notes = collect.collect([f"{tmp_path}/*"], "vpt")
    assert [entry.model for entry in entries] == ["ar"]
    assert "not that of a run (KeyError('forward_abs'))" in notes[0]


def test_a_forecast_that_is_not_finite_is_shown_and_never_best(tmp_path):
    make_run(tmp_path, "spring_ode", None)
    make_run(tmp_path, "spring_ode", 4.0, seed=1)
    make_run(tmp_path, "spring_ar", 7.0)
    (block,) = blocks_of(tmp_path)
    assert math.isnan(block.cells["spring", "forecast", "ode"].mean)
    assert block.cells["spring", "forecast", "ar"].best
    assert "| nan (2) |" in write.markdown([block], "table_units", [])


def test_markdown(folder):
    text = write.markdown(blocks_of(folder), "table_units", ["skipped x: y"])
    lines = text.splitlines()
    start = lines.index("### Protocol laptop, 512 test windows")
    assert lines[start + 2 : start + 8] == [
        "| dataset |  | AR (LSTM) | HGN++ | ODE[TR] | coRNN | NWM 2D | NWM 1D | RGN |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| spring |  |  | **9.5** |  |  | 10 ± 2.8 (2) |  |  |",
        "|  | mean image |  | 1700 |  |  | 1700 |  |  |",
        "|  | last frame |  | 2800 |  |  | 2800 |  |  |",
        "|  | published | 20.97 | 1.58 | 1.58 | 2.52 | 5.46 | **1.45** |  |",
    ]
    assert "| pendulum |  |  |  |  |  |  |  | **1138** |" in lines
    assert "| parameters |  |  | 1,061,297 |  |  | 1,061,297 |  | 1,061,297 |" in lines
    assert "Keller & Welling" in text
    assert lines[-1] == "- skipped x: y"


def test_latex(folder):
    text = write.latex(blocks_of(folder), "table_units", ["skipped a_b: c"])
    assert text.count(r"\begin{tabular}{llrrrrrr") == 2
    assert r"\textbf{9.5}" in text
    assert r"10 $\pm$ 2.8 (2)" in text
    assert r"Keller \& Welling" in text
    assert "% skipped a_b: c" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    for line in body:
        assert "_" not in line.replace(r"\_", "")
    rows = [line for line in body if line.endswith(r" \\")]
    assert {line.count(" & ") for line in rows} == {7, 8}


def test_csv(folder):
    text = write.as_csv(blocks_of(folder), "table_units", [])
    rows = {
        (row["protocol"], row["dataset"], row["model"]): row
        for row in csv.DictReader(io.StringIO(text))
    }
    assert len(rows) == 4
    row = rows["laptop", "spring", "nwm2d"]
    assert (row["mean"], row["seeds"], row["published"]) == ("10.0", "2", "5.46")
    assert float(row["std"]) == math.sqrt(8.0)
    assert row["parameters"] == "1061297"
    assert rows["laptop", "pendulum", "rgn"]["published"] == ""
    assert rows["laptop", "pendulum", "rgn"]["std"] == ""


def test_verb(folder, tmp_path, capsys):
    (folder / "empty").mkdir()

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.run(table.main, table.FLAGS, argv=["table", *arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    code, out, err = run(f"--runs={folder}/*", "--measure=relative_mse")
    assert code == 0
    assert "Relative MSE of the forecast" in out
    assert err == f"skipped {folder}/empty: not a workdir (it has no config.json)\n"
    path = tmp_path / "new" / "table.tex"
    code, out, _ = run(f"--runs={folder}/*", "--format=latex", f"--out={path}")
    assert (code, out) == (0, f"table: {path}\n")
    assert path.read_text().startswith(r"\begin{table}")
    code, _, err = run(f"--runs={folder}/nowhere/*")
    assert code == 2
    assert err.startswith("error: no evaluated run in")
    code, _, err = run(f"--runs={folder}/*", "--measure=speed")
    assert code == 2
    assert err.count("\n") == 1

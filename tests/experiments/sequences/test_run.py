"""A run of a sequence task from its config to its pictures, its table and its curves."""

import csv
import io
import json

import jax
import pytest

from nwm_jax import evaluate, plot, table
from nwm_jax.config import presets
from nwm_jax.errors import UserError
from nwm_jax.experiments.sequences import table as sequences
from nwm_jax.runs import drawing, tables
from nwm_jax.runs import opened as runs
from nwm_jax.shell import cli, screen
from nwm_jax.training import loop, registry

TINY = "smoke,T=6,model.units=8,eval.num_examples=6,eval.batch_size=6,eval.every=2"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Ends at its first evaluation: its task counts as solved at once."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    config = presets.load(f"adding_wrnn:{TINY},stop_when_solved=true,num_steps=6")
    task = registry.build(config)
    task.solved = 1e9
    result = loop.train(config, task, folder, devices=jax.devices()[:1])
    assert result.finished
    assert result.reason.startswith("solved")
    opened = runs.open_run(folder)
    runs.evaluate(opened)
    return opened


@pytest.fixture
def several(run, tmp_path):
    """The run, as if it had been done with another seed and with 400 steps, too."""
    for name, seed, mse in (("a", 0, 0.5), ("b", 1, 0.7), ("c", 0, 0.04)):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("config.json", "eval.json", "metrics.jsonl"):
            (folder / file).write_bytes((run.workdir / file).read_bytes())
        outcome = json.loads((folder / "eval.json").read_text()) | {"mse": mse}
        outcome |= {"seed": seed, "protocol": "long" if name == "c" else "short"}
        (folder / "eval.json").write_text(json.dumps(outcome))
    (tmp_path / "c" / "metrics.jsonl").write_text(
        '{"step": 100, "kind": "train", "mse": 0.1, "solved": 1}\n'
        '{"step": 100, "kind": "eval", "mse": 0.06, "solved": 0.0}\n'
        '{"step": 200, "kind": "eval", "mse": 0.04, "solved": 1.0}\n'
    )
    (tmp_path / "b" / "metrics.jsonl").write_text(
        '{"step": 2, "kind": "train", "mse": 3.0}\n'
        '{"step": 2, "kind": "eval", "mse": 0.7, "solved": 0.0}\n'
    )
    (tmp_path / "no_run").mkdir()
    return tmp_path


def test_it_stopped_when_it_was_solved(run):
    assert run.step == 2
    stored = json.loads((run.workdir / "eval.json").read_text())
    assert stored["dataset"] == "adding"
    assert {"mse", "trivial_mse", "solved", "num_weights", "wave_line"} <= stored.keys()


def test_the_verbs_tell_what_is_there(run):
    message = screen.describe(run.config, run.task).splitlines()
    assert message[0].startswith("adding_wrnn:smoke")
    assert message[1] == "sequences of 6 steps"
    stored = json.loads((run.workdir / "eval.json").read_text())
    lines = screen.scores(run.task, stored)
    assert "6 examples:" in lines.splitlines()[0]
    assert " mse " in lines
    assert " wave_line " in lines
    assert "num_weights" not in lines


def test_pictures(run):
    """It ended before its first line of the log."""
    names = [path.name for path in drawing.draw(run)]
    assert names == ["hidden_state.png", "hidden_spectrum.png"]


def test_the_cost_of_the_paper_s_config_is_reported():
    config = presets.load("adding_wrnn:T=50,name=mine")
    message = screen.forewarn(config, registry.build(config))
    assert "--config=adding_wrnn:laptop" in message
    assert screen.forewarn(presets.load("adding_wrnn:smoke"), None) is None


def test_what_only_a_forecaster_can_do(run, capsys):
    with pytest.raises(UserError, match="unknown metric 'vpt'"):
        runs.evaluate(run, ["vpt"])
    flags = [f"--workdir={run.workdir}", "--input=a.npy", "--output=b.npy"]
    with pytest.raises(SystemExit) as end:
        cli.run(evaluate.main, evaluate.FLAGS, argv=["evaluate", *flags])
    assert end.value.code == 2
    assert "--input needs a forecaster" in capsys.readouterr().err


def test_table(several, capsys):
    entries, notes = sequences.collect([several / name for name in "abc"])
    assert notes == []
    (outcome,) = sequences.build(entries)
    assert outcome.heading == "Task adding"
    rows = [dict(zip(outcome.head, row, strict=True)) for row in outcome.rows]
    assert [row["protocol"] for row in rows] == ["short", "long"]
    assert rows[0]["experiment"] == "adding_wrnn, T=6"
    assert (rows[0]["seeds"], rows[0]["mse"]) == ("2", "0.6 ± 0.14")
    assert rows[0]["solved at step"] == "0 / no"
    assert (rows[1]["seeds"], rows[1]["mse"]) == ("1", "0.04")
    assert rows[1]["solved at step"] == "200"
    assert (rows[1]["parameters"], rows[1]["weights"]) == ("79", "60")
    text = tables.latex([outcome], ["a_b"])
    assert r"0.6 $\pm$ 0.14" in text
    assert text.endswith("% a_b\n")
    assert "Solved at the first evaluation with mse below 0.05" in text
    flags = ["table", f"--runs={several}/*", "--format=csv"]
    with pytest.raises(SystemExit) as end:
        cli.run(table.main, table.FLAGS, argv=flags)
    assert not end.value.code
    out, err = capsys.readouterr()
    assert list(csv.reader(io.StringIO(out))) == [outcome.head, *outcome.rows]
    assert "no_run: not a workdir" in err


def test_curves(several, capsys):
    path = several / "runs.png"
    flags = ["plot", f"--runs={several}/*", f"--out={path}"]
    with pytest.raises(SystemExit) as end:
        cli.run(plot.main, plot.FLAGS, argv=flags)
    assert not end.value.code
    assert path.read_bytes().startswith(b"\x89PNG")
    assert str(path) in capsys.readouterr().out

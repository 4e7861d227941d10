"""A run of a segmentation from its config to its pictures, its table and its boxes."""

import csv
import io
import json

import jax
import numpy as np
import pytest
from PIL import Image

from nwm_jax import evaluate, plot, table
from nwm_jax.config import presets
from nwm_jax.experiments.segmentation import (
    published as published_shapes,
)
from nwm_jax.experiments.segmentation import (
    table as segmentation,
)
from nwm_jax.runs import drawing
from nwm_jax.runs import opened as runs
from nwm_jax.shell import cli, screen
from nwm_jax.training import loop, registry

TINY = (
    "smoke,num_steps=4,checkpoint_every=2,eval.every=2,T=6,model.units=4,model.width=2,"
    "data.num_train=8,data.num_valid=4,data.num_test=6,eval.batch_size=5"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    config = presets.load(f"polygons_nwm:{TINY},data.cache_dir={folder / 'cache'}")
    task = registry.build(config)
    result = loop.train(config, task, folder / "first", devices=jax.devices()[:1])
    assert result.finished
    opened = runs.open_run(folder / "first", None)
    runs.evaluate(opened)
    return opened


@pytest.fixture
def several(run, tmp_path):
    """The run, as if it had been done with other seeds and another readout."""
    kinds = [("a", 0, "linear", 0.9), ("b", 1, "linear", 0.8), ("c", 0, "last", 0.001)]
    for name, seed, readout, score in kinds:
        folder = tmp_path / name
        folder.mkdir()
        config = json.loads((run.workdir / "config.json").read_text())
        config["config"]["model"]["readout"] = readout
        config["config"]["data"]["name"] = "tetrominoes"
        (folder / "config.json").write_text(json.dumps(config))
        outcome = json.loads((run.workdir / "eval.json").read_text())
        protocol = f"quick + model.readout={readout} + model.units=4"
        outcome |= {"seed": seed, "protocol": protocol}
        outcome["test"]["accuracy_foreground"] = score
        outcome["collapsed"] = int(score < 0.01)
        (folder / "eval.json").write_text(json.dumps(outcome))
    (tmp_path / "no_run").mkdir()
    return tmp_path


@pytest.mark.slow
def test_the_best_checkpoint_is_scored(run):
    rows = [json.loads(r) for r in (run.workdir / "metrics.jsonl").open()]
    losses = {
        row["step"]: row["valid/cross_entropy"] for row in rows if row["kind"] == "eval"
    }
    del losses[0]  # before the first step nothing is saved
    assert run.step == min(losses, key=losses.get)
    stored = json.loads((run.workdir / "eval.json").read_text())
    assert stored["step"] == run.step
    assert stored["valid"]["cross_entropy"] == pytest.approx(losses[run.step], rel=1e-5)
    assert set(stored["test"]) == set(stored["valid"])
    assert 0 < stored["background"]["accuracy"] < 1


@pytest.mark.slow
def test_the_verbs_tell_what_is_there(run):
    text = screen.scores(run.task, runs.evaluate(run))
    assert "background       accuracy" in text
    assert "num_parameters" not in text
    assert "classes: background, triangle" in screen.describe(run.config, run.task)
    config = presets.load("tetrominoes_nwm")
    text = screen.forewarn(config, registry.build(config))
    assert "--config=tetrominoes_nwm:laptop is made for such a machine" in text


@pytest.mark.slow
def test_pictures(run):
    paths = {path.name for path in drawing.draw(run)}
    assert paths == {
        "segmentation.png",
        "states.png",
        "states.webp",
        "spectra.png",
        "receptive_field.png",
        "loss.png",
    }
    with Image.open(run.workdir / "figures" / "states.webp") as moving:
        assert moving.n_frames == 6


@pytest.mark.slow
def test_the_best_checkpoint_is_the_verbs_default(run, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.run(evaluate.main, evaluate.FLAGS, argv=["_", f"--workdir={run.workdir}"])
    assert not ended.value.code
    assert f"step {run.step}, protocol smoke" in capsys.readouterr().out


def print_table(folder, capsys, *flags):
    argv = ["_", f"--runs={folder}/*", *flags]
    with pytest.raises(SystemExit) as ended:
        cli.run(table.main, table.FLAGS, argv=argv)
    assert not ended.value.code
    return capsys.readouterr()


@pytest.mark.slow
def test_table(several, capsys):
    captured = print_table(several, capsys, "--format=csv")
    rows = list(csv.reader(io.StringIO(captured.out)))
    head, linear, published, last = rows[:4]
    outcome = dict(zip(head, linear, strict=False))
    assert outcome["model"] == "nwm linear, units=4"
    assert outcome["seeds"] == "2"
    assert outcome["collapsed"] == "0 of 2"
    assert outcome["foreground accuracy"] == "0.8500 ± 0.0707"
    assert (outcome["median"], outcome["least"]) == ("0.8500", "0.8000")
    assert published[:2] == ["nwm linear", "published"]
    assert (
        dict(zip(head, published, strict=False))["foreground accuracy"]
        == "0.9866 ± 0.0040"
    )
    assert dict(zip(head, last, strict=False))["collapsed"] == "1 of 1"
    assert rows[-1][0] == "background only"
    assert "no_run" in captured.err
    text = print_table(several, capsys, "--format=markdown").out
    assert "### Segmentation of tetrominoes, quick\n" in text
    assert published_shapes.SOURCE in text


@pytest.mark.slow
def test_boxes(several, capsys):
    picture = several / "boxes.png"
    argv = ["_", f"--runs={several}/*", "--boxes", f"--out={picture}"]
    with pytest.raises(SystemExit) as ended:
        cli.run(plot.main, plot.FLAGS, argv=argv)
    assert not ended.value.code
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.std() > 5
    scores = segmentation.by_model([several / name for name in "abc"])
    assert scores == {"nwm linear": [0.9, 0.8], "nwm last": [0.001]}


@pytest.mark.slow
def test_boxes_of_unlike_runs_are_refused(run, several, capsys):
    argv = ["_", f"--runs={several}/*,{run.workdir}", "--boxes", "--out=x.png"]
    with pytest.raises(SystemExit) as ended:
        cli.run(plot.main, plot.FLAGS, argv=argv)
    assert ended.value.code == 2
    assert "of several datasets or protocols" in capsys.readouterr().err


def test_published_scores():
    assert published_shapes.scores("mnist", "cnn 16")["accuracy_foreground"] == (
        0.5686,
        0.3930,
    )
    assert published_shapes.scores("polygons", "nwm linear") == {}

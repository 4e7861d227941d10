"""What the verbs do beside calling the library, without training anything."""

import json
import types

import numpy as np
import pytest
from flax import nnx

from nwm_jax import presets, runs, train
from nwm_jax.training import evaluating
from tests import own_clips


class Stop(Exception):
    """Ends a verb where a test has seen enough."""


def value(content):
    return types.SimpleNamespace(value=content)


@pytest.fixture
def run(tmp_path):
    """A run without a checkpoint, whose task draws nothing."""
    task = types.SimpleNamespace(
        num_eval=2, eval_batch_size=2, curve="mse", figures=lambda model, folder: []
    )
    task.evaluations = lambda metrics: {"mse": task}
    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    model.num_observed = 2
    return runs.Run(tmp_path, presets.load("pendulum_nwm2d:smoke"), task, model, 4)


def test_train_keeps_the_path_of_the_data_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = own_clips.config("clips/frames.npy")

    def build(config, counter):
        raise Stop

    monkeypatch.setattr(train, "CONFIG", value(config))
    monkeypatch.setattr(train, "WORKDIR", value("run"))
    monkeypatch.setattr(train, "build", build)
    monkeypatch.setattr(train.mesh, "initialize_distributed", lambda: None)
    with pytest.raises(Stop):
        train.main([])
    assert config.data.path == str(tmp_path / "clips" / "frames.npy")


def test_an_evaluation_with_nan_is_json(run, monkeypatch):
    errors = {"forecast": [0.5, np.nan], "last_frame": [np.inf, 0.25]}
    summary = {
        "relative_mse": {"forecast": 0.5, "last_frame": np.nan},
        "per_frame": {"frame": [1, 2], "relative_mse": errors},
    }
    monkeypatch.setattr(evaluating, "run_eval", lambda *args, **options: summary)
    runs.evaluate(run)

    def refuse(word):
        raise AssertionError(word)

    text = (run.workdir / "eval.json").read_text()
    stored = json.loads(text, parse_constant=refuse)
    assert stored["relative_mse"] == {"forecast": 0.5, "last_frame": None}
    assert stored["per_frame"]["relative_mse"]["forecast"] == [0.5, None]
    assert [path.name for path in runs.draw(run)] == ["error.png"]


def test_the_error_curve_of_another_step_is_left_out_and_told(run):
    errors = {"forecast": [0.5, 0.25]}
    report = {"step": 4, "per_frame": {"frame": [1, 2], "relative_mse": errors}}
    (run.workdir / "eval.json").write_text(json.dumps(report))
    told = []
    assert runs.draw(run._replace(step=2), told.append) == []
    assert len(told) == 1
    assert "eval.json is of step 4, the figures are of step 2" in told[0]
    assert len(runs.draw(run, told.append)) == 1
    assert len(told) == 1


def test_only_the_first_process_writes_a_forecast(run, tmp_path, monkeypatch):
    source = types.SimpleNamespace(image_shape=(8, 8, 3))
    model = types.SimpleNamespace(
        num_observed=3, forecast=lambda images, horizon: images[:, :horizon]
    )
    run = run._replace(model=model, task=types.SimpleNamespace(source=source))
    np.save(tmp_path / "in.npy", np.zeros((5, 8, 8, 3), np.uint8))
    for primary in (False, True):
        monkeypatch.setattr(runs.mesh, "is_primary", lambda primary=primary: primary)
        path = runs.forecast(run, tmp_path / "in.npy", tmp_path / "out.npy", 2)
        assert path == tmp_path / "out.npy"
        assert path.exists() == primary


def test_opening_a_run_tells_how_the_simulation_goes(run, monkeypatch):
    asked = []

    def build(config, counter):
        asked.append(counter)
        raise Stop

    monkeypatch.setattr(runs, "read_config", lambda workdir: run.config)
    monkeypatch.setattr(runs, "build", build)
    with pytest.raises(Stop):
        runs.open_run(run.workdir, counter=print)
    assert asked == [print]


def test_curves_that_cannot_be_drawn_are_left_out(run):
    errors = {"forecast": [None, None], "last_frame": [None, 0.0]}
    report = {"step": 4, "per_frame": {"frame": [1, 2], "relative_mse": errors}}
    (run.workdir / "eval.json").write_text(json.dumps(report))
    metrics = run.workdir / "metrics.jsonl"
    metrics.write_text('{"step": 0, "kind": "eval", "mse/forecast": 0.1}\n')
    assert runs.draw(run) == []
    with metrics.open("a") as file:
        file.write('{"step": 1, "kind": "train", "loss": 0.6, "mse": 0.1}\n')
    assert [path.name for path in runs.draw(run)] == ["loss.png"]


def test_the_error_of_both_directions_is_one_picture(run, monkeypatch):
    """Forward from frame 1 on, backward from frame 0."""
    seen = {}

    def draw_error(path, errors, **options):
        seen.update(options, errors=errors)
        return path

    monkeypatch.setattr(runs.curves, "draw_error", draw_error)
    forward = {"forecast": [0.1, 0.2, None], "last_frame": [0.0, 0.3, 0.4]}
    report = {
        "step": 4,
        "per_frame": {"frame": [1, 2, 3], "relative_mse": forward},
        "backward": {"per_frame": {"frame": [0, 1], "relative_mse": [0.6, 0.5]}},
        "vpt": {},
    }
    (run.workdir / "eval.json").write_text(json.dumps(report))
    runs.draw(run)
    assert seen["first_frame"] == 0
    assert seen["threshold"] == 0.025
    expected = {
        "forecast": [np.nan, 0.1, 0.2, np.nan],
        "backward": [0.6, 0.5, np.nan, np.nan],
        "last_frame": [np.nan, 0.0, 0.3, 0.4],
    }
    assert list(seen["errors"]) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(seen["errors"][name], values)

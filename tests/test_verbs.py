"""What the verbs do beside calling the library, without training anything."""

import json
import types

import numpy as np
import pytest

from nwm_jax import train
from nwm_jax.runs import drawing, opened
from nwm_jax.training import evaluating
from tests.helpers import empty_runs, tiny_forecasting


class Stop(Exception):
    """Ends a verb where a test has seen enough."""


def value(content):
    return types.SimpleNamespace(value=content)


@pytest.fixture
def run(tmp_path):
    return empty_runs.run(tmp_path)


def test_train_keeps_the_path_of_the_data_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tiny_forecasting.config("clips/frames.npy")

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
    report = opened.evaluate(run)

    def refuse(word):
        raise AssertionError(word)

    text = (run.workdir / "eval.json").read_text()
    stored = json.loads(text, parse_constant=refuse)
    assert report == stored  # so that it is told alike now and the next time
    assert stored["relative_mse"] == {"forecast": 0.5, "last_frame": None}
    assert stored["per_frame"]["relative_mse"]["forecast"] == [0.5, None]
    assert [path.name for path in drawing.draw(run)] == ["error.png"]


def test_only_the_first_process_writes_a_forecast(run, tmp_path, monkeypatch):
    source = types.SimpleNamespace(image_shape=(8, 8, 3))
    model = types.SimpleNamespace(
        num_observed=3, forecast=lambda images, horizon: images[:, :horizon]
    )
    run = run._replace(model=model, task=types.SimpleNamespace(source=source))
    np.save(tmp_path / "in.npy", np.zeros((5, 8, 8, 3), np.uint8))
    for primary in (False, True):
        monkeypatch.setattr(opened.mesh, "is_primary", lambda primary=primary: primary)
        path = opened.forecast(run, tmp_path / "in.npy", tmp_path / "out.npy", 2)
        assert path == tmp_path / "out.npy"
        assert path.exists() == primary


def test_opening_a_run_tells_how_the_simulation_goes(run, monkeypatch):
    asked = []

    def build(config, counter):
        asked.append(counter)
        raise Stop

    monkeypatch.setattr(opened, "read_config", lambda workdir: run.config)
    monkeypatch.setattr(opened, "build", build)
    with pytest.raises(Stop):
        opened.open_run(run.workdir, counter=print)
    assert asked == [print]

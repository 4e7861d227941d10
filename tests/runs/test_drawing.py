"""Which curves of a run are drawn, and which are left out."""

import json

import numpy as np
import pytest

from nwm_jax.runs import drawing
from tests.helpers import empty_runs


@pytest.fixture
def run(tmp_path):
    return empty_runs.run(tmp_path)


def write(run, **scores):
    report = {"protocol": "smoke", "step": 4, **scores}
    (run.workdir / "eval.json").write_text(json.dumps(report))


@pytest.mark.parametrize("text", ["{}", "[]", '{"step": 4}', "{", "3"])
def test_a_damaged_evaluation_has_no_curve(text, run):
    (run.workdir / "eval.json").write_text(text)
    assert drawing.draw(run) == []


def test_the_error_curve_of_another_step_is_left_out_and_told(run):
    errors = {"forecast": [0.5, 0.25]}
    write(run, per_frame={"frame": [1, 2], "relative_mse": errors})
    message = []
    assert drawing.draw(run._replace(step=2), message.append) == []
    assert len(message) == 1
    assert "eval.json is of step 4, the figures are of step 2" in message[0]
    assert len(drawing.draw(run, message.append)) == 1
    assert len(message) == 1


def test_curves_that_cannot_be_drawn_are_left_out(run):
    errors = {"forecast": [None, None], "last_frame": [None, 0.0]}
    write(run, per_frame={"frame": [1, 2], "relative_mse": errors})
    metrics = run.workdir / "metrics.jsonl"
    metrics.write_text('{"step": 0, "kind": "eval", "mse/forecast": 0.1}\n')
    assert drawing.draw(run) == []
    with metrics.open("a") as file:
        file.write('{"step": 1, "kind": "train", "loss": 0.6, "mse": 0.1}\n')
    assert [path.name for path in drawing.draw(run)] == ["loss.png"]


def test_the_error_of_both_directions_is_one_picture(run, monkeypatch):
    """Forward from frame 1 on, backward from frame 0."""
    seen = {}

    def draw_error(path, errors, **options):
        seen.update(options, errors=errors)
        return path

    monkeypatch.setattr(drawing.curves, "draw_error", draw_error)
    forward = {"forecast": [0.1, 0.2, None], "last_frame": [0.0, 0.3, 0.4]}
    write(
        run,
        per_frame={"frame": [1, 2, 3], "relative_mse": forward},
        backward={"per_frame": {"frame": [0, 1], "relative_mse": [0.6, 0.5]}},
        vpt={},
    )
    drawing.draw(run)
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


def test_titles_say_preset_and_step(run):
    assert run.title == "pendulum_nwm2d:smoke, step 4 (not trained)"
    run.config.update(preset="laptop", protocol="laptop")
    assert run._replace(step=4_000).title == "pendulum_nwm2d:laptop, step 4,000"
    assert run._replace(step=0).title.endswith("step 0 (not trained)")
    run.config.update(preset="paper", protocol="paper")
    assert run.title == "pendulum_nwm2d, step 4"

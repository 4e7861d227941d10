import json

import numpy as np
import pytest
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.figures import curves

BLUE = (0, 114, 178)


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert path.stat().st_size < 300_000
        return np.asarray(image.convert("RGB")).astype(int)


def blue_rows(image):
    return np.argwhere((np.abs(image - BLUE) < 8).all(axis=-1))


def test_error_curve_rises_to_the_right(tmp_path):
    errors = {
        "forecast": np.geomspace(1e-4, 1e-1, 60),
        "mean_image": np.full(60, 0.08),
        "last_frame": np.r_[0, np.linspace(0.01, 0.2, 59)],
    }
    path = curves.draw_error(
        tmp_path / "error.png", errors, first_frame=60, num_observed=61, title="a title"
    )
    image = pixels(path)
    assert image.shape[0] > 400 and image.shape[1] > 800
    result = blue_rows(image[120:])
    left, right = result[result[:, 1] < 300], result[result[:, 1] > 700]
    assert left[:, 0].min() > right[:, 0].max() + 100  # the axis is logarithmic


def test_no_words_lie_upon_the_curves(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        curves.style, "save_png", lambda figure, path: seen.append(figure)
    )
    errors = {"forecast": np.geomspace(0.01, 1, 40), "last_frame": np.full(40, 0.02)}
    options = {"first_frame": 1, "num_observed": 5, "threshold": 0.1}
    curves.draw_error(tmp_path / "a.png", errors, **options)
    (axes,) = seen[0].axes
    assert not axes.texts
    words = [text.get_text() for text in axes.get_legend().texts]
    assert "observed" in words and "0.1: no longer valid" in words


@pytest.mark.parametrize("num_observed", [0, 31, 500])
def test_zeros_gaps_and_single_frames(tmp_path, num_observed):
    options = {"first_frame": 1, "num_observed": num_observed}
    values = np.r_[0.0, np.nan, np.inf, np.full(37, 0.3)]
    curves.draw_error(tmp_path / "a.png", {"model": values}, **options)
    curves.draw_error(tmp_path / "b.png", {"last_frame": values}, **options)
    curves.draw_error(tmp_path / "c.png", {"model": [0.1]}, **options)
    assert all(pixels(path).std() > 5 for path in tmp_path.iterdir())


def test_error_mistakes_are_named(tmp_path):
    for errors, words in [
        ({}, "names to errors"),
        ({"a": np.ones(3), "b": np.ones(4)}, "one length"),
        ({"a": np.ones((3, 2))}, "one length"),
        ({"a": np.zeros(3)}, "nothing to draw"),
    ]:
        with pytest.raises(UserError, match=words):
            curves.draw_error(tmp_path / "a.png", errors, first_frame=0, num_observed=1)
    with pytest.raises(UserError, match=r"must end in .png"):
        curves.draw_error(
            tmp_path / "a.gif", {"a": np.ones(3)}, first_frame=0, num_observed=1
        )
    assert not list(tmp_path.iterdir())


def write_metrics(path, rows, tail=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return path


def test_training_curve_falls(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"step": s, "loss": float(np.exp(-s / 1000 + 0.2 * rng.normal())), "lr": 1e-3}
        for s in range(0, 5000, 20)
    ]
    rows.insert(10, {"step": 200, "eval/relative_mse": 0.1})
    file = write_metrics(tmp_path / "metrics.jsonl", rows, tail='{"step": 50')
    image = pixels(curves.draw_training(tmp_path / "a.png", file, title="loss"))
    result = blue_rows(image)
    left, right = result[result[:, 1] < 250], result[result[:, 1] > 750]
    assert left[:, 0].max() < right[:, 0].min() - 100


def test_metrics_are_read_as_written(tmp_path):
    rows = [
        {"step": 2, "loss": 3.0},
        {"step": 1, "loss": 4.0},
        {"step": 2, "loss": 2.0},  # written again after a resume
        {"step": 3, "loss": float("nan")},
        {"step": 4, "other": 1},
    ]
    file = write_metrics(tmp_path / "metrics.jsonl", rows, tail='{"step": 5, "lo')
    steps, values = curves.read_metric(file, "loss")
    np.testing.assert_array_equal(steps, [1, 2, 3])
    np.testing.assert_array_equal(values, [4, 2, np.nan])
    curves.draw_training(tmp_path / "a.png", file)
    curves.draw_training(tmp_path / "b.png", file, key="other")


def test_training_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        curves.draw_training(tmp_path / "a.png", tmp_path / "none.jsonl")
    file = write_metrics(tmp_path / "m.jsonl", [{"step": 1, "mse": 2}])
    with pytest.raises(UserError, match=r"no finite 'loss' .* holds: mse"):
        curves.draw_training(tmp_path / "a.png", file)
    file.write_text('{"step": 1}\nwhat\n{"step": 2, "loss": 1}\n')
    with pytest.raises(UserError, match="line 2 of"):
        curves.draw_training(tmp_path / "a.png", file)
    file.write_text("")
    with pytest.raises(UserError, match="holds: nothing"):
        curves.draw_training(tmp_path / "a.png", file)

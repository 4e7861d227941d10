"""Validation errors against training steps, beside the published values."""

import json

import matplotlib.figure
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import progress
from nwm_jax.figures import style
from nwm_jax.runs import curves, workdirs
from tests.helpers import made_workdirs


def run(folder, name, errors, seed=0):
    workdir = made_workdirs.run(folder, name, seed=seed)
    rows = [{"kind": "train", "step": 100, "mse": 0.5}]
    for number, error in enumerate(errors):
        step = 500 * number  # the one of step 0 has no place on the axis
        rows.append({"kind": "eval", "step": step, "relative_mse/forecast": error})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (workdir / "metrics.jsonl").write_text(text)
    return workdir


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    kept = []
    save = style.save_png
    monkeypatch.setattr(style, "save_png", lambda f, p: kept.append(f) or save(f, p))
    return kept


def test_picture(tmp_path, drawn):
    for seed in range(2):
        run(tmp_path, "spring_nwm1d", [1.0, 0.05, 0.01, 0.002 + 0.001 * seed], seed)
    run(tmp_path, "spring_hgn", [1.0, 0.06, 0.05, 0.04])
    run(tmp_path, "pendulum_nwm1d", [1.0, 0.09, 0.08, 0.07])
    made_workdirs.run(tmp_path, "pendulum_ode")  # trained without eval.every
    path = curves.draw_by("errors", [f"{tmp_path}/*"], tmp_path / "errors.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    assert isinstance(figure, matplotlib.figure.Figure)
    spring, pendulum = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "spring",
        "pendulum",
    ]
    assert {spring.get_xscale(), spring.get_yscale()} == {"log"}
    ours = [line for line in spring.lines if len(line.get_xdata()) == 3]
    assert len(ours) == 3 and len(spring.lines) == 5
    np.testing.assert_array_equal(ours[0].get_xdata(), [500, 1000, 1500])
    flat = {line.get_ydata()[0]: line for line in spring.lines if line not in ours}
    assert sorted(flat) == pytest.approx([1.45 * 3072e-8, 1.58 * 3072e-8])
    assert len(pendulum.lines) == 2
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["HGN++", "NWM 1D", "published (500,000 steps)"]


def test_no_run_was_evaluated_in_training(tmp_path):
    made_workdirs.run(tmp_path, "spring_ode")
    with pytest.raises(UserError, match=r"eval\.every"):
        progress.draw(workdirs.find([f"{tmp_path}/*"]), tmp_path / "a.png")
    with pytest.raises(UserError, match="no run of forecasting"):
        curves.draw_by("errors", [f"{tmp_path}/nowhere"], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()

"""The table of a search over learning rates."""

import json
import math

import pytest

from nwm_jax import table as verb
from nwm_jax.experiments.forecasting import tuning
from nwm_jax.runs import workdirs
from tests.helpers import made_workdirs


def made(folder, name, rate, error):
    """A run of a search; an error of None stands for one that diverged."""
    fields = {"diverged": {"step": 9}} if error is None else {}
    workdir = made_workdirs.run(folder / f"{rate}", name, seed=100, **fields)
    stored = json.loads((workdir / "config.json").read_text())
    stored["config"]["optimizer"]["learning_rate"] = rate
    (workdir / "config.json").write_text(json.dumps(stored))
    if error is not None:
        report = {"relative_mse": {"forecast": error}}
        (workdir / "eval_valid.json").write_text(json.dumps(report))
    return workdir


@pytest.fixture
def folder(tmp_path):
    # The mean of logarithms, not of errors, and not either dataset alone.
    for rate, spring, pendulum in (
        (5e-4, 0.1, 0.01),
        (1e-3, 0.2, 0.002),
        (2e-3, 0.05, 0.05),
    ):
        made(tmp_path, "spring_hgn", rate, spring)
        made(tmp_path, "pendulum_hgn", rate, pendulum)
    made(tmp_path, "spring_ar", 1e-3, 0.3)
    made(tmp_path, "spring_ar", 2e-3, 0.2)
    made(tmp_path, "spring_ar", 4e-3, None)
    return tmp_path


def test_winners(folder):
    entries, notes = tuning.collect(workdirs.find([f"{folder}/*/*"]))
    means = tuning.means(entries)
    assert notes == []
    assert means["hgn", 1e-3] == pytest.approx(math.sqrt(0.2 * 0.002))
    assert tuning.winner(means, "hgn") == (1e-3, False)
    assert means["ar", 4e-3] == math.inf
    assert tuning.winner(means, "ar") == (2e-3, False)
    # Without its neighbour the best one is at the edge.
    assert tuning.winner(
        {k: v for k, v in means.items() if k != ("ar", 4e-3)}, "ar"
    ) == (2e-3, True)


def test_a_rate_without_one_of_the_datasets_cannot_win(folder):
    made(folder, "spring_hgn", 4e-3, 1e-9)
    entries, _ = tuning.collect(workdirs.find([f"{folder}/*/*"]))
    assert ("hgn", 4e-3) not in tuning.means(entries)


def test_the_verb_prints_the_table(folder, capsys):
    (made(folder, "pendulum_ar", 1e-3, 0.5) / "eval_valid.json").unlink()
    verb.FLAGS(["table", f"--runs={folder}/*/*", "--measure=tuning"])
    assert verb.main([]) == 0
    out, err = capsys.readouterr()
    assert "### Learning rates (seed 100, 4,000 steps)" in out
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()
    ]
    head = ["model", "dataset", "0.0005", "0.001", "0.002", "0.004", "winner"]
    assert head in lines
    assert ["ar", "spring", "", "0.3", "0.2", "diverged", ""] in lines
    assert ["hgn", "geometric mean", "0.03162", "0.02", "0.05", "", "0.001"] in lines
    assert "python -m nwm_jax.evaluate --split=valid" in err

"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
import math

import pytest

from nwm_jax.experiments.forecasting import write
from tests.helpers import made_workdirs


@pytest.fixture
def folder(tmp_path):
    return made_workdirs.several(tmp_path)


def test_markdown(folder):
    text = write.markdown(made_workdirs.blocks(folder), "table_units", ["skipped x: y"])
    lines = text.splitlines()
    start = lines.index("### Protocol laptop-v2, 512 test windows")
    assert lines[start + 2 : start + 8] == [
        "| dataset |  | AR (LSTM) | HGN++ | ODE[TR] | coRNN | NWM 2D | NWM 1D | RGN |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| spring |  |  | **9.5** |  |  | 10 ± 2.8 (2) |  |  |",
        "|  | mean image |  | 1700 |  |  | 1700 |  |  |",
        "|  | last frame |  | 2800 |  |  | 2800 |  |  |",
        "|  | published | 20.97 | 1.58 | 1.58 | 2.52 | 5.46 | **1.45** |  |",
    ]
    assert "| pendulum |  |  |  |  |  |  |  | 1138 |" in lines
    assert "| parameters |  |  | 1,061,297 |  |  | 1,061,297 |  | 1,061,297 |" in lines
    assert "Keller & Welling" in text
    assert lines[-1] == "- skipped x: y"


def test_latex(folder):
    text = write.latex(made_workdirs.blocks(folder), "table_units", ["skipped a_b: c"])
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
    text = write.as_csv(made_workdirs.blocks(folder), "table_units", [])
    rows = {
        (row["protocol"], row["dataset"], row["model"]): row
        for row in csv.DictReader(io.StringIO(text))
    }
    assert len(rows) == 4
    row = rows["laptop-v2", "spring", "nwm2d"]
    assert (row["mean"], row["seeds"], row["published"]) == ("10.0", "2", "5.46")
    assert float(row["std"]) == math.sqrt(8.0)
    assert row["parameters"] == "1061297"
    assert rows["laptop-v2", "pendulum", "rgn"]["published"] == ""
    assert rows["laptop-v2", "pendulum", "rgn"]["std"] == ""


def test_csv_tells_a_forecast_that_was_not_finite_from_none(tmp_path):
    made_workdirs.run(tmp_path, "spring_ode", None)
    made_workdirs.run(tmp_path, "pendulum_ode", None)
    made_workdirs.run(tmp_path, "pendulum_ode", 4.0, seed=1)
    text = write.as_csv(made_workdirs.blocks(tmp_path), "table_units", [])
    rows = {row["dataset"]: row for row in csv.DictReader(io.StringIO(text))}
    assert (rows["spring"]["mean"], rows["spring"]["std"]) == ("nan", "")
    assert (rows["pendulum"]["mean"], rows["pendulum"]["std"]) == ("nan", "nan")

"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
import json
import math

import numpy as np
import pytest

from nwm_jax.experiments.forecasting import write
from nwm_jax.runs import tables, workdirs
from tests.helpers import made_workdirs


def written(layout, folder, notes=(), measure="table_units"):
    grids = write.grids(made_workdirs.blocks(folder, measure), measure)
    return tables.FORMATS[layout](grids, notes)


@pytest.fixture
def folder(tmp_path):
    return made_workdirs.several(tmp_path)


def test_markdown(folder):
    text = written("markdown", folder, ["skipped x: y"])
    lines = text.splitlines()
    start = lines.index("### Protocol laptop-v2, 512 test windows: table units")
    assert lines[start + 2 : start + 8] == [
        "| dataset |  | AR (LSTM) | HGN++ | ODE[TR] | coRNN | NWM 2D | NWM 1D | RGN |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| spring |  |  | 9.5 |  |  | 10 ± 2.8 (2) |  |  |",
        "|  | mean image |  | 1700 |  |  | 1700 |  |  |",
        "|  | last frame |  | 2800 |  |  | 2800 |  |  |",
        "|  | published | 20.97 | 1.58 | 1.58 | 2.52 | 5.46 | **1.45** |  |",
    ]
    assert "| pendulum |  |  |  |  |  |  |  | 1138 |" in lines
    assert "| parameters |  |  | 1,061,297 |  |  | 1,061,297 |  | 1,061,297 |" in lines
    assert "Keller & Welling" in text
    assert lines[-1] == "- skipped x: y"


def test_latex(folder):
    text = written("latex", folder, ["skipped a_b: c"])
    assert text.count(r"\begin{tabular}{llrrrrrr") == 2
    assert r"\textbf{1.45}" in text
    assert r"10 $\pm$ 2.8 (2)" in text
    assert r"Keller \& Welling" in text
    assert "% skipped a_b: c" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    for line in body:
        assert "_" not in line.replace(r"\_", "")
    rows = [line for line in body if line.endswith(r" \\")]
    assert {line.count(" & ") for line in rows} == {7, 8}


def test_csv(folder):
    text = written("csv", folder)
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


def test_csv_counts_diverged_seeds(tmp_path):
    made_workdirs.run(tmp_path, "spring_ode", None)
    made_workdirs.run(tmp_path, "pendulum_ode", None)
    made_workdirs.run(tmp_path, "pendulum_ode", 4.0, seed=1)
    text = written("csv", tmp_path)
    rows = {row["dataset"]: row for row in csv.DictReader(io.StringIO(text))}
    assert (rows["spring"]["mean"], rows["spring"]["diverged"]) == ("nan", "1")
    pendulum = rows["pendulum"]
    assert (pendulum["mean"], pendulum["std"], pendulum["seeds"]) == ("4.0", "", "2")
    assert pendulum["diverged"] == "1"


def test_a_diverged_seed_is_shown_and_its_cost_is_not_averaged(tmp_path):
    for seed, score, seconds in ((0, 4.0, 100.0), (1, 6.0, 300.0)):
        made_workdirs.run(tmp_path, "spring_ode", score, seed=seed, cpu_seconds=seconds)
    made_workdirs.diverged(tmp_path, "spring_ode", seed=2, cpu_seconds=5.0)
    made_workdirs.diverged(tmp_path, "spring_ar", cpu_seconds=5.0)
    text = written("markdown", tmp_path)
    assert "| spring |  | diverged (1) |  | 5 ± 1.4 (3, 1 diverged) |" in text
    assert "| processor seconds |  |  |  | 200 |" in text
    assert "the mean is that of the other seeds" in text


def made(folder):
    """Three seeds of two models on the same frames, the second 1.3 times worse."""
    generator = np.random.default_rng(0)
    windows = generator.lognormal(0, 0.5, 64)
    for model, factor in (("hgn", 1.3), ("nwm2d", 1.0)):
        for seed in range(3):
            errors = factor * (1 + 0.01 * seed) * windows
            made_workdirs.run(
                folder,
                f"spring_{model}",
                1e5 * factor + seed,
                seed=seed,
                preset="fair_laptop",
                num_windows=64,
                per_frame={"frame": list(range(31, 120))},
                per_window={"relative_mse": list(errors)},
            )


def test_the_best_is_compared_with_the_next_over_windows_and_seeds(tmp_path):
    made(tmp_path)
    text = written("markdown", tmp_path, measure="relative_mse")
    (line,) = [line for line in text.splitlines() if line.startswith("spring:")]
    assert "NWM 2D over that of HGN++" in line
    assert f"is {math.log(1 / 1.3):.3f}, 95 % interval -0." in line
    assert "spring:" not in written("markdown", tmp_path, measure="vpt")
    # A model that diverged once is no rival, the comparison of the others stands.
    made_workdirs.diverged(tmp_path, "spring_ar", preset="fair_laptop")
    assert "spring: " in written("markdown", tmp_path, measure="relative_mse")
    # One that is scored on other frames is: then nothing is compared.
    made_workdirs.run(
        tmp_path,
        "spring_ode",
        preset="fair_laptop",
        num_windows=64,
        per_frame={"frame": list(range(5, 125))},
        per_window={"relative_mse": [0.1] * 64},
    )
    assert "spring: " not in written("markdown", tmp_path, measure="relative_mse")


def test_black_windows_are_left_out_of_a_comparison(tmp_path):
    made(tmp_path)

    def blacken(path, window):
        report = json.loads(path.read_text())
        report["per_window"]["relative_mse"][window] = None
        path.write_text(json.dumps(report))

    paths = sorted(tmp_path.glob("*/eval.json"))
    for path in paths:
        blacken(path, 7)
    assert "spring: " in written("markdown", tmp_path, measure="relative_mse")
    blacken(paths[0], 8)  # in one run alone: a forecast that is not finite
    assert "spring: " not in written("markdown", tmp_path, measure="relative_mse")


def test_all_measures_in_one_output(folder):
    text, notes = write.tabulate(workdirs.find([f"{folder}/*"]), "all", "markdown")
    heads = [line[4:] for line in text.splitlines() if line.startswith("### ")]
    assert heads == [
        f"Protocol {protocol}, 512 test windows: {measure}"
        for protocol in ("paper", "laptop-v2")
        for measure in ("relative MSE", "table units", "VPT")
    ]
    assert notes == []
    # A run without one of the measures is left out of that table alone.
    made_workdirs.run(folder, "two_body_ar", vpt=None)
    text, notes = write.tabulate(workdirs.find([f"{folder}/*"]), "all", "markdown")
    assert text.count("| two_body |") == 2
    assert len(notes) == 1 and "no vpt" in notes[0]
    csv_text, _ = write.tabulate(workdirs.find([f"{folder}/*"]), "all", "csv")
    rows = list(csv.DictReader(io.StringIO(csv_text)))
    assert {row["measure"] for row in rows} == {"relative_mse", "table_units", "vpt"}

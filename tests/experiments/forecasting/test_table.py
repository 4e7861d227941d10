"""Runs become cells: means over seeds, protocols apart, the best of a row."""

import math

import pytest

from nwm_jax.experiments.forecasting import collect, table
from nwm_jax.experiments.forecasting.table import Cell
from nwm_jax.runs import workdirs
from tests.helpers import made_workdirs


@pytest.fixture
def folder(tmp_path):
    return made_workdirs.several(tmp_path)


def test_cells(folder):
    paper, laptop = made_workdirs.blocks(folder)
    assert (paper.protocol, laptop.protocol) == ("paper", "laptop-v2")
    assert laptop.datasets == ["spring", "pendulum"]
    assert laptop.models == ["ar", "hgn", "ode", "cornn", "nwm2d", "nwm1d", "rgn"]
    ours = laptop.cells["spring", "forecast", "nwm2d"]
    assert ours == Cell(10.0, math.sqrt(8.0), 2, best=False)
    other = laptop.cells["spring", "forecast", "hgn"]
    assert (other.mean, other.seeds, other.best) == (9.5, 1, False)
    assert math.isnan(other.std)
    assert laptop.cells["spring", "last_frame", "nwm2d"].mean == 2800.5
    # Nothing of the other protocol, nothing where there is no run.
    assert paper.cells["spring", "forecast", "hgn"].mean == 3.0
    assert ("spring", "forecast", "nwm2d") not in paper.cells
    assert ("spring", "forecast", "ar") not in laptop.cells
    # The published row, with its own best; nothing was published for rgn.
    assert laptop.cells["pendulum", "published", "nwm2d"] == Cell(110.9, best=True) or (
        laptop.cells["pendulum", "published", "nwm2d"][::3] == (110.9, True)
    )
    assert not laptop.cells["pendulum", "published", "ode"].best
    assert ("pendulum", "published", "rgn") not in laptop.cells


def test_measures(folder):
    laptop = made_workdirs.blocks(folder, "relative_mse")[1]
    result = laptop.cells["spring", "forecast", "nwm2d"].mean
    assert result == pytest.approx(10 * 3072e-8)
    # Nobody published valid times.
    laptop = made_workdirs.blocks(folder, "vpt")[1]
    assert {row for _, row, _ in laptop.cells} == {"forecast", "last_frame"}
    assert laptop.cells["pendulum", "last_frame", "rgn"].mean == 2.0


def best(block, dataset="spring"):
    """The models that are marked in the row of a dataset."""
    return {
        model
        for (name, row, model), cell in block.cells.items()
        if (name, row) == (dataset, "forecast") and cell.best
    }


def test_of_equal_ones_none_is_best(tmp_path):
    for model in ("ar", "hgn"):
        made_workdirs.run(tmp_path, f"spring_{model}", 0.0)
    made_workdirs.run(tmp_path, "spring_ode", 1.0)
    (block,) = made_workdirs.blocks(tmp_path)
    assert best(block) == set()


@pytest.mark.parametrize(
    ("hgn", "marked"), [((4.0, 4.1, 9.0), {"ar"}), ((2.9, 6.0, 9.0), set())]
)
def test_every_seed_of_the_best_is_better_than_every_other(hgn, marked, tmp_path):
    for model, scores in (("ar", (1.0, 2.0, 3.0)), ("hgn", hgn)):
        for seed, score in enumerate(scores):
            made_workdirs.run(tmp_path, f"spring_{model}", score, seed=seed)
    (block,) = made_workdirs.blocks(tmp_path)
    assert best(block) == marked


def test_a_diverged_seed_is_counted_and_never_best(tmp_path):
    made_workdirs.run(tmp_path, "spring_ode", None)
    made_workdirs.run(tmp_path, "spring_ode", 4.0, seed=1)
    made_workdirs.run(tmp_path, "spring_ar", 7.0)
    (block,) = made_workdirs.blocks(tmp_path)
    cell = block.cells["spring", "forecast", "ode"]
    assert (cell.mean, cell.seeds, cell.diverged) == (4.0, 2, 1)
    assert best(block) == set()  # nor is the other: one of the seeds is better
    made_workdirs.run(tmp_path, "spring_hgn", 1.0)
    (block,) = made_workdirs.blocks(tmp_path)
    assert best(block) == {"hgn"}


def test_old_and_new_runs_never_share_a_block(tmp_path):
    """The same preset's name, but other settings: the protocol's name differs."""
    made_workdirs.run(tmp_path / "old", "spring_ar", 1.0, protocol="laptop")
    made_workdirs.run(tmp_path / "new", "spring_ar", 2.0, seed=1)
    result, _ = collect.collect(workdirs.find([f"{tmp_path}/*/*"]))
    blocks = table.build(result, "table_units")
    assert [block.protocol for block in blocks] == ["laptop", "laptop-v2"]
    means = [block.cells["spring", "forecast", "ar"].mean for block in blocks]
    assert means == [1.0, 2.0]


def test_the_only_one_is_not_the_best(tmp_path):
    made_workdirs.run(tmp_path, "spring_ar", 1.0)
    (block,) = made_workdirs.blocks(tmp_path)
    assert best(block) == set()


def test_what_is_worse_than_no_skill_is_not_the_best(tmp_path):
    made_workdirs.run(tmp_path, "spring_ar", 1701.0)  # the mean image has 1700
    made_workdirs.run(tmp_path, "spring_hgn", 1702.0)
    (block,) = made_workdirs.blocks(tmp_path)
    assert best(block) == set()
    made_workdirs.run(tmp_path, "spring_ode", 1699.0)
    (block,) = made_workdirs.blocks(tmp_path)
    assert best(block) == {"ode"}


@pytest.mark.parametrize(
    ("frames", "marked"), [((0.0, 0.0), ""), ((1.5, 1.0), ""), ((3.0, 0.0), "ar")]
)
def test_a_valid_time_has_to_beat_the_last_frame(frames, marked, tmp_path):
    """Which is right for 2 frames."""
    for model, score in zip(("ar", "hgn"), frames, strict=True):
        made_workdirs.run(tmp_path, f"spring_{model}", score)
    (block,) = made_workdirs.blocks(tmp_path, "vpt")
    assert best(block) == ({marked} if marked else set())

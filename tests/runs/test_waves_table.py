"""The table of wave statistics and errors."""

import json

import pytest

from nwm_jax import table
from nwm_jax.errors import UserError
from nwm_jax.runs import waves_table, workdirs
from nwm_jax.shell import cli
from tests.helpers import made_workdirs


@pytest.fixture
def folder(tmp_path):
    """Five runs whose error falls as their states travel, and two others."""
    for seed, index in enumerate([0.1, 0.4, 0.2, 0.6, 0.5]):
        result = {"travelling_index": index, "coherence": None, "speed": 2.0}
        made_workdirs.run(
            tmp_path, "spring_nwm2d", 1e5 * (1 - index), seed=seed, waves=result
        )
    made_workdirs.run(tmp_path, "spring_hgn")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_collect_and_build(folder):
    entries, notes = waves_table.collect(workdirs.find([f"{folder}/*"]))
    assert [entry.seed for entry in entries] == [0, 1, 2, 3, 4]
    assert [note.partition(": ")[2] for note in notes] == [
        "not a workdir (it has no config.json)",
        "its eval.json has no waves",
    ]
    assert entries[0].waves == {"travelling_index": 0.1, "speed": 2.0}
    (grid,) = waves_table.build(entries)
    assert grid.head[3:6] == ["relative mse forecast", "travelling index", "coherence"]
    ((model, _, seeds, error, index, coherence, *_),) = grid.rows
    assert (model, seeds, coherence) == ("nwm2d", "5", "")
    assert error == "1.97 ± 0.64" and index == "0.36 ± 0.21"
    assert "over 5 runs: rho = -1.00" in grid.legend[-1]


def test_rank_correlation_needs_runs(folder):
    entries, _ = waves_table.collect(workdirs.find([f"{folder}/*"]))
    count, rho, p = waves_table.rank_correlation(entries, "travelling_index")
    assert (count, rho) == (5, pytest.approx(-1)) and p < 0.01
    assert waves_table.rank_correlation(entries[:3], "travelling_index")[1] != rho
    assert waves_table.rank_correlation(entries, "coherence")[0] == 0


def test_a_field_without_coupling_has_a_row_of_its_own(tmp_path):
    folder = made_workdirs.run(
        tmp_path, "spring_nwm2d", waves={"travelling_index": 0.3}
    )
    config = json.loads((folder / "config.json").read_text())
    config["config"]["model"]["kernel_size"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    assert waves_table.read(folder).model == "nwm2d, uncoupled"


def test_refuses(tmp_path):
    made_workdirs.run(tmp_path, "spring_hgn")
    with pytest.raises(UserError, match="evaluate runs of oscillators with --metrics"):
        waves_table.collect(workdirs.find([f"{tmp_path}/*"]))


def test_verb(folder, capsys):
    with pytest.raises(SystemExit) as end:
        argv = ["table", f"--runs={folder}/*", "--waves"]
        cli.run(table.main, table.FLAGS, argv=argv)
    out, err = capsys.readouterr()
    assert end.value.code == 0
    assert "### Waves and errors, spring" in out
    assert err.count("skipped") == 2

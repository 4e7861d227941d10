"""The verb that prints the table of many runs."""

import pathlib
import re

import pytest

from nwm_jax import table
from nwm_jax.shell import cli
from tests.helpers import made_workdirs


@pytest.fixture
def folder(tmp_path):
    return made_workdirs.several(tmp_path)


def output(*arguments):
    with pytest.raises(SystemExit) as end:
        cli.run(table.main, table.FLAGS, argv=["table", *arguments])
    return end.value.code


def test_a_table_is_remade_from_committed_files(tmp_path, capsys):
    """Three seeds a cell, in folders as `sweep --keep` leaves them."""
    kept = tmp_path / "laptop-v2"
    scores = {"nwm1d": (8.0, 9.0, 10.0), "hgn": (20.0, 30.0, 40.0)}
    for model, values in scores.items():
        for seed, score in enumerate(values):
            fields = {"seed": seed, "cpu_seconds": 100.0 * (seed + 1)}
            made_workdirs.run(kept, f"spring_{model}", score, **fields)
    for seed in range(3):
        made_workdirs.diverged(kept, "spring_ar", seed=seed)
    made_workdirs.run(tmp_path / "laptop", "spring_nwm1d", 1.0, protocol="laptop")
    assert output(f"--runs={kept}/*") == 0
    text, errors = capsys.readouterr()
    assert "### Protocol laptop-v2, 512 test windows: relative MSE" in text
    lines = text.splitlines()
    start = lines.index("### Protocol laptop-v2, 512 test windows: table units")
    assert lines[start + 2 : start + 10] == [
        "| dataset |  | AR (LSTM) | HGN++ | ODE[TR] | coRNN | NWM 2D | NWM 1D |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| spring |  | diverged (3) | 30 ± 10 (3) |  |  |  | **9 ± 1** (3) |",
        "|  | mean image |  | 1700 |  |  |  | 1700 |",
        "|  | last frame |  | 2800 |  |  |  | 2800 |",
        "|  | published | 20.97 | 1.58 | 1.58 | 2.52 | 5.46 | **1.45** |",
        "| parameters |  | 1,061,297 | 1,061,297 |  |  |  | 1,061,297 |",
        "| processor seconds |  |  | 200 |  |  |  | 200 |",
    ]
    assert "Protocol laptop-v2, 512 test windows: VPT" in text
    assert "this is not a p-value" in text and "few" not in text
    assert errors.count("diverged after step 11 of 4,000") == 3
    # The same files, the same text; with older ones beside them their own table more.
    assert output(f"--runs={kept}/*") == 0
    assert capsys.readouterr().out == text
    assert output(f"--runs={tmp_path}/*/*") == 0
    both = capsys.readouterr().out
    assert both.startswith("### Protocol laptop, ")
    assert all(
        line in both.splitlines() for line in lines if line.startswith("| spring")
    )


def test_the_page_shows_what_its_commands_print(capsys):
    """Every table in docs/results/table.md whose runs are committed."""
    page = pathlib.Path(__file__).parents[1] / "docs" / "results" / "table.md"
    shown = page.read_text().splitlines()
    commands = re.findall(r"nwm_jax\.table (.*docs/results/table/.*)", page.read_text())
    for command in commands:
        flags = command.replace("docs/results", str(page.parent)).replace("'", "")
        if "measure=tuning" in flags:
            continue
        assert output(*flags.split()) == 0
        rows = [r for r in capsys.readouterr().out.splitlines() if r.startswith("|")]
        assert rows and [row for row in rows if row not in shown] == []


def test_verb(folder, tmp_path, capsys):
    (folder / "empty").mkdir()

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.run(table.main, table.FLAGS, argv=["table", *arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    code, out, err = run(f"--runs={folder}/*", "--measure=relative_mse")
    assert code == 0
    assert "Relative MSE of the forecast" in out
    assert err == f"skipped {folder}/empty: not a workdir (it has no config.json)\n"
    path = tmp_path / "new" / "table.tex"
    code, out, _ = run(f"--runs={folder}/*", "--format=latex", f"--out={path}")
    assert (code, out) == (0, f"table: {path}\n")
    assert path.read_text().startswith(r"\begin{table}")
    code, _, err = run(f"--runs={folder}/nowhere/*")
    assert code == 2
    assert err.startswith("error: no evaluated run")
    code, _, err = run(f"--runs={folder}/*", "--measure=speed")
    assert code == 2
    assert err.count("\n") == 1

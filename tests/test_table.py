"""The verb that prints the table of many runs."""

import pytest

from nwm_jax import table
from nwm_jax.shell import cli
from tests.helpers import made_workdirs


@pytest.fixture
def folder(tmp_path):
    return made_workdirs.several(tmp_path)


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

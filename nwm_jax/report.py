"""Writes report.html: one page with the scores, curves and pictures of runs.

With --workdir: the report of one run, in its workdir. With --runs: one page of several
runs, with the tables of `python -m nwm_jax.table`. The page is one file that loads
nothing else.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

import pathlib

from absl import flags

from nwm_jax.errors import UserError
from nwm_jax.runs import report, tabulate, workdirs
from nwm_jax.shell import cli, screen

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", flag_values=FLAGS)
RUNS = flags.DEFINE_list(
    "runs",
    None,
    "folders of runs, such as 'runs/*' (in quotes), or several, with commas between",
    flag_values=FLAGS,
)
OUT = flags.DEFINE_string(
    "out", "report.html", "the page of --runs to write", flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    """Runs the verb."""
    del argv
    if WORKDIR.value and not RUNS.value:
        path = report.write(pathlib.Path(WORKDIR.value))
    elif RUNS.value and not WORKDIR.value:
        folders = workdirs.find(RUNS.value)
        tables, _ = tabulate.tabulate(folders, None, "markdown")
        path = report.write_comparison(folders, tables, pathlib.Path(OUT.value))
    else:
        raise UserError("set either --workdir of one run or --runs of several")
    screen.say(f"report: {path}")


if __name__ == "__main__":
    cli.run(main, FLAGS)

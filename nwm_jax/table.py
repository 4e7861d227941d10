"""Prints the tables of many runs, with the published numbers where there are any.

Reads the config.json and eval.json of every workdir that --runs matches; what cannot
be read is named and left out. Forecasts of different protocols stand in tables of their
own, and so does each sequence task (where metrics.jsonl tells when it was solved) and
each dataset of segmentation.
"""

import glob
import pathlib
import sys
import types

from absl import flags

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import collect, table, tuning, write
from nwm_jax.experiments.segmentation import configs
from nwm_jax.experiments.segmentation import table as segmentation
from nwm_jax.experiments.sequences import table as sequences
from nwm_jax.experiments.sequences.configs import TASKS
from nwm_jax.runs import tables, waves_table, workdirs
from nwm_jax.shell import cli

FLAGS = flags.FlagValues()
RUNS = flags.DEFINE_list(
    "runs",
    None,
    "folders of runs, such as 'runs/*' (in quotes), or several, with commas between",
    required=True,
    flag_values=FLAGS,
)
FORMAT = flags.DEFINE_enum(
    "format", "markdown", list(write.FORMATS), "how to print it", flag_values=FLAGS
)
MEASURE = flags.DEFINE_enum(
    "measure",
    "table_units",
    list(collect.MEASURES),
    "what to tabulate of forecasts: an error, or the valid prediction time",
    flag_values=FLAGS,
)
WAVES = flags.DEFINE_bool(
    "waves",
    False,
    "what waves the hidden states carry, beside the errors, and their rank correlation",
    flag_values=FLAGS,
)
TUNING = flags.DEFINE_bool(
    "tuning",
    False,
    "the errors of every learning rate on the split valid, and the winners",
    flag_values=FLAGS,
)
OUT = flags.DEFINE_string(
    "out", None, "a file to write in place of the screen", flag_values=FLAGS
)


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    folders = workdirs.find(RUNS.value)
    if WAVES.value:
        entries, notes = waves_table.collect(folders)
        _tell(notes)
        _print(tables.FORMATS[FORMAT.value](waves_table.build(entries), notes))
        return 0
    if TUNING.value:
        _print(_grids(tuning, folders))
        return 0
    kinds = {folder: workdirs.task(folder) for folder in folders}
    remembering = [folder for folder, kind in kinds.items() if kind in TASKS]
    segmenting = [folder for folder, kind in kinds.items() if kind == configs.TASK]
    known = {*remembering, *segmenting}
    forecasting = [folder for folder in folders if folder not in known]
    parts = []
    # Folders that are no runs are told of by either table.
    if not known or any(kinds[folder] for folder in forecasting):
        parts.append(_forecasts(forecasting))
        forecasting = []
    if remembering:
        parts.append(_grids(sequences, remembering + forecasting))
        forecasting = []
    if segmenting:
        parts.append(_grids(segmentation, segmenting + forecasting))
    _print("\n".join(parts))
    return 0


def _print(text: str) -> None:
    if OUT.value:
        print(f"table: {files.write_atomic(OUT.value, text)}")
    else:
        print(text, end="")


def _forecasts(folders: list[pathlib.Path]) -> str:
    patterns = [glob.escape(str(folder)) for folder in folders] or RUNS.value
    entries, notes = collect.collect(patterns, MEASURE.value)
    _tell(notes)
    blocks = table.build(entries, MEASURE.value)
    return write.FORMATS[FORMAT.value](blocks, MEASURE.value, notes)


def _grids(kind: types.ModuleType, folders: list[pathlib.Path]) -> str:
    entries, notes = kind.collect(folders)
    _tell(notes)
    if not entries:
        raise UserError(f"no evaluated run in {' '.join(RUNS.value)}: evaluate them")
    return tables.FORMATS[FORMAT.value](kind.build(entries), notes)


def _tell(notes: list[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


if __name__ == "__main__":
    cli.run(main, FLAGS)

"""Prints the forecasting table of many runs, with the published numbers beside.

Reads the config.json and eval.json of every workdir that --runs matches; what cannot
be read is named and left out. Runs of different protocols stand in tables of their own.
"""

import sys

from absl import flags

from nwm_jax import cli, files
from nwm_jax.comparison import collect, table, write

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
    "what to tabulate: an error, or the valid prediction time",
    flag_values=FLAGS,
)
OUT = flags.DEFINE_string(
    "out", None, "a file to write in place of the screen", flag_values=FLAGS
)


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    entries, notes = collect.collect(RUNS.value, MEASURE.value)
    for note in notes:
        print(note, file=sys.stderr)
    blocks = table.build(entries, MEASURE.value)
    text = write.FORMATS[FORMAT.value](blocks, MEASURE.value, notes)
    if OUT.value:
        print(f"table: {files.write_atomic(OUT.value, text)}")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

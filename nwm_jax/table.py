"""Prints the tables of many runs, with the published numbers where there are any.

Reads the config.json and eval.json of every workdir that --runs matches; what cannot
be read is named and left out. Every experiment has tables of its own: forecasts one for
each protocol, sequences one for each task (where metrics.jsonl says when it was
solved), segmentations one for each dataset.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

import sys

from absl import flags

from nwm_jax import files
from nwm_jax.runs import tables, tabulate, waves_table, workdirs
from nwm_jax.shell import cli
from nwm_jax.training import registry

FLAGS = flags.FlagValues()
RUNS = flags.DEFINE_list(
    "runs",
    None,
    "folders of runs, such as 'runs/*' (in quotes), or several, with commas between",
    required=True,
    flag_values=FLAGS,
)
FORMAT = flags.DEFINE_enum(
    "format", "markdown", list(tables.FORMATS), "how to print it", flag_values=FLAGS
)
MEASURE = flags.DEFINE_enum(
    "measure",
    None,
    [name for known in registry.experiments() for name in known.measures],
    "what to tabulate of forecasts: an error, the valid prediction time, all (relative "
    "MSE, table units and valid prediction time; if not given), or tuning",
    flag_values=FLAGS,
)
WAVES = flags.DEFINE_bool(
    "waves",
    False,
    "what waves the hidden states carry, beside the errors, and their rank correlation",
    flag_values=FLAGS,
)
OUT = flags.DEFINE_string(
    "out", None, "a file to write instead of the screen", flag_values=FLAGS
)
CONFIG = cli.definitions_flag(FLAGS)


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    cli.define(CONFIG.value)
    folders = workdirs.find(RUNS.value)
    if not folders:
        raise workdirs.nothing(patterns=RUNS.value)
    if WAVES.value:
        entries, notes = waves_table.collect(folders)
        parts = [tables.FORMATS[FORMAT.value](waves_table.build(entries), notes)]
    else:
        parts, notes = tabulate.tabulate(folders, MEASURE.value, FORMAT.value)
    for note in notes:
        print(note, file=sys.stderr)
    text = "\n".join(parts)
    if OUT.value:
        print(f"table: {files.write_atomic(OUT.value, text)}")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

"""Draws the figures of a run again, from its checkpoint, metrics and evaluation."""

from absl import flags

from nwm_jax import cli, report, runs

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder of the run", required=True, flag_values=FLAGS
)
WHICH = flags.DEFINE_string(
    "which", "last", "checkpoint: last, best or a step", flag_values=FLAGS
)


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    run = runs.open_run(WORKDIR.value, runs.which(WHICH.value), counter=report.counter)
    report.say(report.pictures(runs.draw(run, report.say)))
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

"""Trains the model of a config, then evaluates it and draws its figures.

Run the same command again to go on with a run that was interrupted.
"""

import os

from absl import flags

from nwm_jax import cli, drawing, report, runs
from nwm_jax.tasks import build
from nwm_jax.training import loop, mesh

FLAGS = flags.FlagValues()
CONFIG = cli.config_flag(FLAGS)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "folder of the run: config, metrics, checkpoints, evaluation, figures",
    required=True,
    flag_values=FLAGS,
)


def main(argv: list[str]) -> int:
    """Runs the verb; 0 also when a signal ended the run early, for it can go on."""
    del argv
    mesh.initialize_distributed()
    config, workdir = CONFIG.value, WORKDIR.value
    if config.data.get("path"):
        # The run can be opened from any folder.
        config.data.path = os.path.abspath(os.path.expanduser(config.data.path))
    task = build(config, report.counter)
    report.say(report.describe(config, task))
    for note in (report.forewarn(config, task), *report.advice()):
        if note:
            report.say(note)
    try:
        result = loop.train(config, task, workdir)
    except loop.NonFiniteError as error:
        runs.write_divergence(workdir, config, task, error)
        raise
    if result.finished:
        run = runs.open_run(workdir, runs.scored(task), task=task)
        report.say(report.scores(runs.evaluate(run, counter=report.scoring)))
        if mesh.is_primary():
            report.say(report.pictures(drawing.draw(run, report.say)))
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

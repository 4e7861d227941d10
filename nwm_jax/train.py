"""Trains the model of a config, then evaluates it and draws its figures.

Run the same command again to go on with a run that was interrupted.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

import os

from absl import flags

from nwm_jax.config import grammar
from nwm_jax.runs import opened, scores
from nwm_jax.shell import cli, memory, progress, screen
from nwm_jax.training import loop, mesh, non_finite, peers
from nwm_jax.training.registry import build

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
    """Runs the verb."""
    del argv
    memory.keep_freed()
    mesh.initialize_distributed()
    config, workdir = CONFIG.value, WORKDIR.value
    if config.data.get("path"):
        # The run can be opened from any folder.
        config.data.path = os.path.abspath(os.path.expanduser(config.data.path))
    peers.check_same(grammar.flatten(config))
    task = build(config, screen.counter)
    screen.say(screen.describe(config, task))
    for note in (screen.forewarn(config, task), *screen.advice()):
        if note:
            screen.say(note)
    try:
        result = loop.train(config, task, workdir, display=progress.Progress)
    except non_finite.NonFiniteError as error:
        scores.write_divergence(workdir, config, task, error)
        raise
    if result.finished:
        run = opened.open_run(workdir, task.scored, task=task)
        screen.say(screen.scores(task, opened.evaluate(run, counter=screen.scoring)))
        if mesh.is_primary():
            from nwm_jax.runs import drawing, report  # loads matplotlib

            screen.say(screen.pictures(drawing.draw(run, screen.say)))
            screen.say(f"report: {report.write(run.workdir)}")
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

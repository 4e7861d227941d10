"""Draws the figures of a run again, from its checkpoint, metrics and evaluation.

With --runs='runs/*' instead of --workdir: draws the curves of several runs of a task
into one picture, by the names of their folders; with --boxes the scores of evaluated
segmentations, a box for each model over its seeds; with --errors the validation errors of
forecasts against training steps, with the published values as lines. With --figure=4 beside
it: a figure of the paper on Neural Wave Machines, from runs of its topographic experiments.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

from absl import flags

from nwm_jax.errors import UserError
from nwm_jax.runs import curves, drawing, opened, report, workdirs
from nwm_jax.shell import cli, screen

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", flag_values=FLAGS)
RUNS = flags.DEFINE_list(
    "runs",
    None,
    "folders of runs to compare, such as 'runs/*' (in quotes), or several, with commas "
    "between",
    flag_values=FLAGS,
)
OUT = flags.DEFINE_string(
    "out", "runs.png", "the picture of --runs or --figure to write", flag_values=FLAGS
)
FIGURE = flags.DEFINE_integer(
    "figure",
    None,
    "number of a figure of the paper, 1 to 9: 2 takes runs of digits, gratings and noise, "
    "3 of gratings and of 2D digits, 5 and 9 of 1D digits, 8 of several seeds, the "
    "others of 2D digits",
    flag_values=FLAGS,
)
BOXES = flags.DEFINE_bool(
    "boxes",
    False,
    "with --runs of segmentations: test scores instead of curves",
    flag_values=FLAGS,
)
ERRORS = flags.DEFINE_bool(
    "errors",
    False,
    "with --runs of forecasts: the validation error against steps, both axes logarithmic, "
    "and the published values as lines",
    flag_values=FLAGS,
)
WHICH = flags.DEFINE_string(
    "which",
    None,
    "checkpoint: last, best or a step (0: before training); if not given the last, of "
    "segmentations the best",
    flag_values=FLAGS,
)

CONFIG = cli.definitions_flag(FLAGS)


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    cli.define(CONFIG.value)
    if bool(WORKDIR.value) == bool(RUNS.value):
        raise UserError("give either --workdir of one run or --runs of several")
    chosen = [flag.name for flag in (BOXES, ERRORS) if flag.value]
    if chosen and not RUNS.value:
        raise UserError(f"--{chosen[0]} goes with --runs")
    if len(chosen) > 1:
        raise UserError("choose one of --boxes and --errors")
    if FIGURE.value is not None:
        if not RUNS.value:
            raise UserError("--figure takes its runs by --runs")
        # Loads what only these figures need.
        from nwm_jax.experiments.topography import paper_figures

        step = opened.which(WHICH.value)
        runs = [
            opened.open_run(folder, step, counter=screen.counter)
            for folder in workdirs.find(RUNS.value)
        ]
        drawn = paper_figures.draw(FIGURE.value, runs, OUT.value)
        screen.say(screen.pictures(drawn))
        return 0
    if RUNS.value:
        if chosen:
            picture = curves.draw_by(chosen[0], RUNS.value, OUT.value)
        else:
            picture = curves.draw(RUNS.value, OUT.value)
        screen.say(screen.pictures([picture]))
    elif WORKDIR.value:
        run = opened.open_run(
            WORKDIR.value, opened.which(WHICH.value), counter=screen.counter
        )
        screen.say(screen.pictures(drawing.draw(run, screen.say)))
        screen.say(f"report: {report.write(run.workdir)}")
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

"""Evaluates a trained model, or forecasts your own clips with it.

Without --input: scores fixed sets of test examples, writes eval.json in the workdir.
What eval.json holds of the same step already is kept, so --metrics=symetric adds it.
With --input=clips.npy --output=forecast.npy: observes the end of every clip (uint8
[T, H, W, C] or [N, T, H, W, C]) and writes the frames that follow in the same layout.
"""

from nwm_jax.training import signals

if __name__ == "__main__":
    signals.listen()  # before the slow imports

from absl import flags

from nwm_jax.config import presets
from nwm_jax.errors import UserError
from nwm_jax.models import ForecastModel
from nwm_jax.runs import opened
from nwm_jax.shell import cli, screen
from nwm_jax.training import mesh

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "folder of the run, or pretrained:NAME with weights that come with the package",
    required=True,
    flag_values=FLAGS,
)
WHICH = flags.DEFINE_string(
    "which",
    None,
    "checkpoint: last, best or a step (0: before training); if not given the last, of "
    "segmentations the best",
    flag_values=FLAGS,
)
METRICS = flags.DEFINE_list(
    "metrics",
    [],
    "of forecasts: mse, vpt (valid prediction time), energy (drift of the forecast's "
    "energy), waves (statistics of the hidden state) and symetric (takes minutes); if "
    "not given, all except the last that data and model have. Other tasks have their "
    "own scores, and waves",
    flag_values=FLAGS,
)
DATA = flags.DEFINE_string(
    "data",
    None,
    "valid prediction time (vpt_long in eval.json, no other metric) on the test split "
    "of another folder of records, or on 1,024 frames of a dataset: of its "
    "_long_trajectory set where it has one",
    flag_values=FLAGS,
)
SPLIT = flags.DEFINE_enum(
    "split",
    "test",
    ["test", "valid"],
    "which data: test (eval.json), or of forecasts valid, which training was followed "
    "on (eval_valid.json)",
    flag_values=FLAGS,
)
INPUT = flags.DEFINE_string(
    "input", None, "clips to forecast, a .npy file of uint8 images", flag_values=FLAGS
)
OUTPUT = flags.DEFINE_string(
    "output", None, "where the forecast goes, a .npy file", flag_values=FLAGS
)
OUT = flags.DEFINE_string(
    "out",
    None,
    "where the scores go, a .json file, instead of the workdir; with pretrained:NAME it "
    "is needed",
    flag_values=FLAGS,
)
HORIZON = flags.DEFINE_integer(
    "horizon",
    None,
    "frames to forecast from --input; the config's eval.horizon if not given",
    lower_bound=1,
    flag_values=FLAGS,
)

CONFIG = cli.definitions_flag(FLAGS)


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    cli.define(CONFIG.value)
    mesh.initialize_distributed()
    if bool(INPUT.value) != bool(OUTPUT.value):
        raise UserError("--input and --output go together: give both or none")
    if OUT.value and INPUT.value:
        raise UserError("--out is for scores; a forecast goes to --output")
    if DATA.value and (METRICS.value or INPUT.value):
        raise UserError("--data goes without --metrics and --input")
    if SPLIT.value != "test" and (DATA.value or INPUT.value):
        raise UserError("--split goes without --data and --input")
    run = opened.open_run(
        WORKDIR.value, opened.which(WHICH.value), counter=screen.counter
    )
    if INPUT.value and OUTPUT.value:
        if not isinstance(run.model, ForecastModel):
            raise UserError(f"--input needs a forecaster; {run.workdir} holds none")
        horizon = HORIZON.value or run.config.eval.horizon
        written = opened.forecast(run, INPUT.value, OUTPUT.value, horizon)
        screen.say(f"forecast {horizon} frames: {written}")
    else:
        if changed := presets.changed(run.config):
            screen.say(f"note: {changed}")
        scores = opened.evaluate(
            run, METRICS.value, screen.scoring, DATA.value or "", SPLIT.value, OUT.value
        )
        screen.say(screen.scores(run.task, scores))
        if OUT.value:
            screen.say(f"scores: {OUT.value}")
        elif mesh.is_primary():
            from nwm_jax.runs import report  # loads Pillow

            screen.say(f"report: {report.write(run.workdir)}")
    return 0


if __name__ == "__main__":
    cli.run(main, FLAGS)

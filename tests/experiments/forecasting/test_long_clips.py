"""Valid prediction time on other trajectories than a run's own."""

import json
import types

import jax
import numpy as np
import pytest

from nwm_jax import evaluate
from nwm_jax.data import tfrecord
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import long_clips
from nwm_jax.experiments.forecasting.vpt import valid_frames
from nwm_jax.runs import opened as runs
from nwm_jax.shell import cli
from nwm_jax.training.registry import build
from tests.helpers import tiny_forecasting, toy_task

FRAMES = 25


def records(n, frames=FRAMES, side=tiny_forecasting.SIDE):
    """Clips that stand still and are dark, unlike the run's own."""
    for i in range(n):
        shade = np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3) + i
        yield {"image": np.repeat(shade[None], frames, 0)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with an untrained model, which says always nearly the same."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_forecasting.config(
        tiny_forecasting.write(folder), **{"eval.num_vpt": 3}
    )
    task = build(config)
    return runs.Run(folder, config, task, task.init(jax.random.key(0)), 4)


def test_the_other_clips_are_scored_and_kept_apart(run, tmp_path):
    tfrecord.write(tmp_path / "long", "test", records(6))
    own = runs.evaluate(run, ("mse",))
    report = runs.evaluate(run, data=str(tmp_path / "long"))
    stored = json.loads((run.workdir / "eval.json").read_text())
    result = stored["vpt_long"]
    assert report["vpt_long"] == result
    # What is of the run's own clips has not changed.
    assert {key: value for key, value in stored.items() if key != "vpt_long"} == own
    assert result["data"] == str((tmp_path / "long").resolve())
    segment = FRAMES - run.task.train_length
    assert (result["num_frames"], result["segment"]) == (FRAMES, segment)
    assert result["num_trajectories"] == 3
    # Clips that stand still are forecast without an error by the last frame.
    assert result["last_frame_abs"] == segment
    # The mean image is that of the run's own training clips.
    images = next(records(1))["image"] / np.float32(255)
    mean = np.broadcast_to(run.task.windows.mean_image, images.shape)
    assert result["mean_image_abs"] == min(segment, int(valid_frames(mean, images)))


def test_a_name_stands_for_its_long_set(run, monkeypatch):
    asked = []

    def opened(**settings):
        asked.append(settings)
        return types.SimpleNamespace(
            image_shape=run.task.source.image_shape,
            num_frames=settings["num_frames"],
            size=lambda split: settings[f"num_{split}"],
        )

    monkeypatch.setattr(long_clips, "open_source", opened)
    names = ("spring", "pendulum_colors_long_trajectory", "pennies", "two_body")
    for name in names:
        made = long_clips.LongPredictionTime(run.task.windows, name)
        assert (made.length, made.num_eval) == (1024, 3)
    assert [settings["name"] for settings in asked] == [
        "mass_spring_long_trajectory",
        "pendulum_colors_long_trajectory",
        "matching_pennies_long_trajectory",
        "two_body",
    ]
    assert all(settings["dt"] == run.config.data.dt for settings in asked)


def test_data_that_do_not_fit(run, tmp_path):
    def refused(data, text):
        with pytest.raises(UserError, match=text) as caught:
            runs.evaluate(run, data=str(data))
        assert "\n" not in str(caught.value)

    refused("pendulun", "is no folder, and: unknown dataset .* 'pendulum'")
    refused(tmp_path, "without features.txt")
    tfrecord.write(tmp_path / "large", "test", records(1, side=16))
    refused(tmp_path / "large", r"has images \(16, 16, 3\), the run's data")
    tfrecord.write(tmp_path / "short", "test", records(1, frames=5))
    refused(tmp_path / "short", "has clips of 5 frames")
    tfrecord.write(tmp_path / "train", "train", records(1))
    refused(tmp_path / "train", "has no test.tfrecord")
    other = run._replace(task=toy_task.Toy())
    with pytest.raises(UserError, match="--data=pendulum needs a forecaster"):
        runs.evaluate(other, data="pendulum")


def test_the_flag_goes_alone(capsys):
    arguments = ["evaluate", "--workdir=w", "--data=pendulum", "--metrics=mse"]
    with pytest.raises(SystemExit) as end:
        cli.run(evaluate.main, evaluate.FLAGS, argv=arguments)
    assert end.value.code == 2
    assert "without --metrics and --input" in capsys.readouterr().err

"""Valid prediction time: where a forecast goes wrong, in both directions."""

import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.experiments.forecasting import vpt
from tests.helpers import known_models


def clips(ratios):
    """Forecasts and truth whose frames have given relative errors."""
    truth = np.full((*np.shape(ratios), 2, 2, 3), 0.5, np.float32)
    away = np.sqrt(np.array(ratios, np.float32))[..., None, None, None]
    return truth * (1 + away), truth


@pytest.mark.parametrize(
    ("ratios", "frames"),
    [
        ([0.01, 0.02, 0.03, 0.01], 2),
        ([0.01, 0.02, 0.02, 0.01], 4),
        ([0.03, 0.0, 0.0, 0.0], 0),
        ([0.0, 0.0249, 0.0251, 0.03], 2),
        ([0.0, 0.01, np.nan, 0.01], 2),
    ],
)
def test_the_first_frame_above_the_threshold(ratios, frames):
    assert int(vpt.valid_frames(*clips(ratios))) == frames


def test_every_trajectory_has_its_own_time():
    forecast, truth = clips([[0.0, 0.1, 0.1], [0.0, 0.0, 0.1], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(vpt.valid_frames(forecast, truth), [1, 2, 3])


def test_black_frames_are_passed_over():
    forecast, truth = clips([0.0, 0.0, 0.0, 0.1])
    truth[1] = 0.0
    assert int(vpt.valid_frames(forecast, truth)) == 3


class Wrong:
    """Right but in given frames, forward and backward; frames are whole-clip numbers."""

    num_observed = 5
    reversible = True

    def __init__(self, train_length, forward, backward):
        self.train_length = train_length
        self.forward, self.backward = forward, backward

    def reconstruct(self, images):
        return jnp.asarray(images).at[:, self.forward].mul(2.0)[:, 3:]

    def reconstruct_backward(self, images):
        return jnp.asarray(images).at[:, self.backward].mul(2.0)[:, :-3]


def test_both_directions_count_from_the_frames_that_were_seen():
    """30 frames, clips of 10 in training: 20 frames to each side."""
    model = Wrong(10, [4, 16, 25], [27, 17, 3])
    task = known_models.task(model, np.ones((4, 30, 2, 2, 3)), horizon=10)
    evaluation = vpt.ValidPredictionTime(task)
    assert evaluation.num_eval == 4  # no more than there are
    assert evaluation.eval_batch_size == 4 * 20 // 30
    scores, summary = known_models.evaluate(evaluation, model)
    # Frame 16 is the 7th from frame 10 on; frame 17 the 3rd before frame 20.
    np.testing.assert_array_equal(scores["forward"], [6] * 4)
    np.testing.assert_array_equal(scores["backward"], [2] * 4)
    text = summary["vpt"]
    assert text["segment"] == 20
    assert text["forward_abs"] == 6
    assert text["forward_rel"] == 0.3
    assert text["backward_abs"] == 2
    assert text["abs"] == 4
    assert text["rel"] == 0.2
    # Nothing moves: the last frame that was seen stays right, the mean image is 1.2.
    assert text["last_frame_abs"] == 20
    assert text["mean_image_abs"] == 0


@pytest.mark.parametrize(("train_length", "segment"), [(60, 196), (64, 192), (65, 191)])
def test_segments_of_256_frames(train_length, segment):
    model = known_models.Counting(train_length, 1, False)
    images = np.ones((1, 256, 1, 1, 3))
    _, summary = known_models.evaluate(
        vpt.ValidPredictionTime(known_models.task(model, images)), model
    )
    # The error t / 1000 passes sqrt(0.025) in frame 159.
    assert summary["vpt"]["forward_abs"] == 159 - train_length
    assert summary["vpt"]["segment"] == segment
    assert "backward_abs" not in summary["vpt"]
    assert summary["vpt"]["abs"] == summary["vpt"]["forward_abs"]


def test_means_of_the_medians_of_five():
    model = known_models.Counting(60, 0, False)
    evaluation = vpt.ValidPredictionTime(
        known_models.task(model, np.ones((1, 180, 1, 1, 3)))
    )
    frames = np.array([0, 2, 4, 4, 4, 10, 0, 0, 20, 30])
    text = evaluation.summarise(
        {name: frames for name in ("forward", "mean_image", "last_frame")}
    )["vpt"]
    assert text["forward_abs"] == (4 + 10) / 2
    assert text["forward_rel"] == 7 / 120
    assert text["forward_median"] == 4
    assert text["forward_mean"] == 7.4
    assert text["num_trajectories"] == 10
    # Those left over are no group, unless there are no others.
    for count, expected in ((5, 4), (7, 4), (9, 4), (4, 3), (1, 0)):
        names = ("forward", "mean_image", "last_frame")
        text = evaluation.summarise({name: frames[:count] for name in names})["vpt"]
        assert text["forward_abs"] == expected
        assert text["num_trajectories"] == count

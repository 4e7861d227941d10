"""Evaluation: padding, sharding, flat names."""

import jax
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.training import evaluating, mesh
from tests.helpers import toy_task


class Kept(toy_task.Toy):
    """Returns the scores unchanged."""

    def summarise(self, scores):
        return scores


@pytest.fixture(scope="module")
def task():
    return Kept()


@pytest.fixture(scope="module")
def model(task):
    return functional.split(task.init(jax.random.key(3)))[1:]


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
@pytest.mark.parametrize("num", [None, 1, 7, 99])
def test_every_example_once_and_in_order(task, model, devices, batch_size, num):
    devices = mesh.make_mesh(jax.devices()[:devices])
    result = evaluating.run_eval(task, *model, devices, batch_size, num)
    count = min(num or 10, 10)
    batch = task.eval_batch(np.arange(count))
    np.testing.assert_array_equal(result["x"], batch["x"])
    expected = task.score(functional.merge(task.graphdef, *model), batch)
    np.testing.assert_allclose(result["error"], expected["error"], rtol=1e-5)


def test_progress_is_reported(task, model):
    text = []
    evaluating.run_eval(
        task, *model, mesh.make_mesh(), 4, progress=lambda *now: text.append(now)
    )
    assert text == [(4, 10), (8, 10), (10, 10)]


def test_scores_before_they_are_summarised(task, model):
    gather = evaluating.make_gather(task, mesh.make_mesh(), 4)
    scores = gather(*model, 7)
    assert {len(values) for values in scores.values()} == {7}
    summary = evaluating.run_eval(task, *model, mesh.make_mesh(), 4, 7)
    np.testing.assert_array_equal(scores["error"], summary["error"])


def test_batch_size_must_be_positive(task):
    with pytest.raises(UserError, match=r"eval.batch_size=0"):
        evaluating.make_eval(task, mesh.make_mesh(), 0)


def test_flat_names():
    summary = {
        "protocol": "paper",
        "mse": {"forecast": np.float32(0.5), "curve": [1.0, 2.0], "none": None},
        "num_windows": 3,
        "vpt": {"all": {"mean": 1.5}},
    }
    assert evaluating.flatten(summary) == {
        "mse/forecast": 0.5,
        "num_windows": 3.0,
        "vpt/all/mean": 1.5,
    }

"""Wave statistics of hidden states, of models that are known waves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.config import presets
from nwm_jax.errors import UserError
from nwm_jax.experiments.wave_statistics import PLACELESS, WaveStatistics
from nwm_jax.models.sequences import SequenceClassifier
from nwm_jax.training.registry import build


class Examples:
    """A task of which only the examples matter."""

    graphdef, num_eval, eval_batch_size = None, 3, 8

    def eval_batch(self, indices):
        return {"start": np.asarray(indices, np.float32)}


def plane(_, batch):
    """Goes down, 1/2 cell a frame, and a weak second channel that stands."""
    t, i, j, c = np.mgrid[:48, :12, :12, :2]
    moving = np.cos(2 * np.pi * (t / 24 - i / 12)) * (c == 0)
    standing = 0.1 * np.cos(2 * np.pi * t / 24) * np.cos(2 * np.pi * j / 12) * (c == 1)
    both = jnp.asarray(moving + standing)
    return jnp.stack([both + 0 * start for start in batch["start"]])


def summary(states, **options):
    result = WaveStatistics(Examples(), states, **options)
    scores = result.score(None, result.eval_batch(np.arange(result.num_eval)))
    return result.summarise({k: np.asarray(v) for k, v in scores.items()})["waves"]


def test_a_plane_wave():
    only = summary(lambda model, batch: plane(model, batch)[..., :1])
    assert (only["examples"], only["channels"]) == (3, 1)
    assert only["travelling_index"] == pytest.approx(1, abs=0.01)
    assert only["coherence"] == pytest.approx(1, abs=0.01)
    assert only["frequency"] == pytest.approx(1 / 24, rel=0.02)
    assert only["wave_number"] == pytest.approx(2 * np.pi / 12, rel=0.02)
    assert only["speed"] == pytest.approx(0.5, rel=0.02)
    np.testing.assert_allclose(only["velocity"], [2 * np.pi / 12, 0], atol=0.01)
    # A mean over channels: the other one stands.
    assert summary(plane)["travelling_index"] == pytest.approx(0.5, abs=0.05)


def test_rings_and_cells_without_a_place():
    ring = summary(lambda model, batch: plane(model, batch)[:, :, :, 0])
    assert ring["travelling_index"] == pytest.approx(0.5, abs=0.05)
    assert ring["velocity"][0] == 0 and ring["singular_fraction"] is None
    rows = summary(lambda model, batch: plane(model, batch), rings=True)
    assert rows["velocity"][0] == 0
    flat = summary(lambda model, batch: plane(model, batch)[:, :, :, 0, 0])
    assert set(PLACELESS) < set(flat)
    assert "coherence" not in flat and flat["travelling_index"] > 0.9


@pytest.mark.parametrize(
    ("name", "shape"),
    [("smnist_nwm2d", 5), ("copy_wrnn", 4), ("smnist_cornn", 3)],
)
def test_sequence_tasks_have_them(name, shape):
    task = build(presets.load(f"{name}:smoke"))
    made = task.evaluations(["waves"])["waves"]
    batch = made.eval_batch(np.arange(2))

    def states(key):
        model = task.init(key)
        assert isinstance(model, SequenceClassifier)
        return made.score(model, batch)["states"]

    assert len(jax.eval_shape(states, jax.random.key(0)).shape) == shape


def test_an_identity_rnn_has_none():
    task = build(presets.load("copy_irnn:smoke"))
    with pytest.raises(UserError, match="unknown metric 'waves'"):
        task.evaluations(["waves"])


def test_frames_before_the_forecast_are_left_out():
    with pytest.raises(UserError, match="skip=46 of 48 frames"):
        summary(plane, skip=46)

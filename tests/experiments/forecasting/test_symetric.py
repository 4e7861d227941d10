"""SyMetric: symplectic maps pass, others do not; rows, pairs and masks."""

import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import symetric
from nwm_jax.models import Latents
from tests.helpers import known_models

pytestmark = pytest.mark.filterwarnings("ignore:Objective did not converge")


def diagonals(*entries):
    return np.stack([np.diag(np.array(entry, float)) for entry in entries])


@pytest.mark.parametrize(
    ("jacobians", "score"),
    [
        (diagonals((2, 1), (2, 1)), 0.0),
        (diagonals((1, 1), (2, 1)), 0.18),
        (diagonals((2, 1, 1, 1)), 0.0703125),
        (diagonals((2, 3, 1 / 2, 1 / 3)), 0.0),
    ],
)
def test_symplecticity_of_the_original(jacobians, score):
    np.testing.assert_allclose(symetric.symplecticity(jacobians), score, atol=1e-5)


def orbits(seed=0):
    """Phase space of two oscillators, 5 trajectories, (q1, q2, p1, p2)."""
    rng = np.random.default_rng(seed)
    phase, size = rng.uniform(0, 6, (5, 1, 2)), rng.uniform(0.3, 1.0, (5, 1, 2))
    angle = phase + 0.3 * np.arange(60)[:, None] * [1.0, 1.7]
    return np.concatenate([size * np.cos(angle), -size * np.sin(angle)], axis=-1)


POINTS = np.tile(np.arange(0, 60, 6), (5, 1))


def test_a_rotation_is_symplectic_and_a_stretch_that_changes_is_not():
    states = orbits()
    q, p = np.split(states, 2, axis=-1)
    turned = np.concatenate([0.6 * q + 0.8 * p, 0.6 * p - 0.8 * q], axis=-1)
    result = symetric.score_group(turned, states, None, POINTS)
    assert result["order"] == 1
    assert result["rsq"] > 0.99
    assert result["sym"] < 0.05
    assert result["score"] == 1.0
    # Areas grow with |q|. (A linear fit would do, were q not on both sides of 0.)
    folded = np.concatenate([q**2, p], axis=-1)
    result = symetric.score_group(states, folded, None, POINTS)
    assert result["order"] == 2
    assert result["rsq"] > 0.99
    assert result["sym"] > 0.05
    assert result["score"] == 0.0


def test_a_polynomial_and_its_jacobian():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(300, 2))
    true = np.stack([z[:, 0] + 0.8 * z[:, 1] ** 2, z[:, 1] - z[:, 0] * z[:, 1]], axis=1)
    fit = symetric.Polynomial(z, true)
    assert fit.order == 2
    assert fit.rsq > 0.99
    expected = np.zeros((300, 2, 2))
    expected[:, 0] = np.stack([np.ones(300), 1.6 * z[:, 1]], axis=1)
    expected[:, 1] = np.stack([-z[:, 1], 1 - z[:, 0]], axis=1)
    np.testing.assert_allclose(fit.jacobian(z), expected, atol=0.05)


def test_pairs_that_tell_nothing_are_left_out():
    states = orbits()[..., [0, 2]]
    noise = np.random.default_rng(0).normal(size=(5, 60, 2))
    latents = np.concatenate([states, noise], axis=-1)[..., [0, 2, 1, 3]]
    variance = np.tile([0.1, 0.9, 0.9, 0.9], (5, 1))
    np.testing.assert_array_equal(
        symetric.informative(variance), [True, False, True, False]
    )
    result = symetric.score_group(latents, states, variance, POINTS)
    assert result["num_latents"] == 2
    assert result["score"] == 1.0
    assert symetric.informative(np.ones((5, 4))).all()


def test_more_than_32_latents_are_fitted_linearly():
    states = orbits() ** 3
    latents = orbits() @ np.random.default_rng(0).normal(size=(4, 34))
    assert symetric.score_group(latents, states, None, POINTS)["order"] == 1


class Known:
    """A model whose latents are the true states, which count frames, and noise."""

    num_observed, train_length, reversible = 5, 10, False

    def __init__(self, pairing, missing, size=2):
        self.pairing, self.missing, self.size = pairing, missing, size

    def latents(self, images):
        frames = np.arange(images.shape[1], dtype=np.float32)[self.missing :]
        z = frames[:, None] + 1000 * np.arange(self.size, dtype=np.float32)
        z = np.broadcast_to(z, (len(images), *z.shape))
        return Latents(z, None, self.pairing)


@pytest.mark.parametrize("missing", [0, 1, 4])
def test_latent_and_true_rows_are_of_the_same_frames(missing):
    task = known_models.task(Known("", missing), np.ones((3, 80, 1, 1, 3)), horizon=10)
    evaluation = symetric.SyMetric(task)
    batch = evaluation.eval_batch(np.arange(3))
    scores = evaluation.score(task.model, batch)
    assert scores["latents"].shape == (3, 60, 2)
    np.testing.assert_array_equal(scores["latents"][..., 0], scores["states"][..., 0])
    assert scores["states"][0, 0, 0] == missing


def test_interleaved_pairs_are_taken_apart():
    model = Known("interleaved", 0, size=4)
    task = known_models.task(model, np.ones((3, 80, 1, 1, 3)), horizon=10)
    evaluation = symetric.SyMetric(task)
    z = evaluation.score(model, evaluation.eval_batch(np.arange(3)))["latents"]
    np.testing.assert_array_equal(z[0, 0], [0, 2000, 1000, 3000])


def test_groups_of_five_are_seeded_and_averaged():
    task = known_models.task(Known("", 0), np.ones((12, 80, 1, 1, 3)), horizon=10)
    evaluation = symetric.SyMetric(task)
    assert evaluation.num_eval == 12
    states = np.concatenate([orbits(seed) for seed in range(3)])[:12]
    scores = {"latents": states, "states": states}
    text = evaluation.summarise(scores)["symetric"]
    assert text["num_groups"] == 2  # the last two are no group
    assert text["score"] == 1.0
    assert text["sym_min"] <= text["sym"] <= text["sym_max"]
    assert evaluation.summarise(scores)["symetric"] == text
    for count, groups in ((10, 2), (3, 1)):
        fewer = {name: values[:count] for name, values in scores.items()}
        result = evaluation.summarise(fewer)["symetric"]
        assert result["num_groups"] == groups
        assert (result == text) == (count == 10)


def test_what_cannot_be_compared_is_reported():
    task = known_models.task(
        Known("", 0, size=3), np.ones((3, 80, 1, 1, 3)), horizon=10
    )
    evaluation = symetric.SyMetric(task)
    with pytest.raises(UserError, match="even length, not 3"):
        evaluation.score(task.model, evaluation.eval_batch(np.arange(3)))
    task.source.decode = lambda batch: {"images": batch["images"]}
    with pytest.raises(UserError, match=r"true states.* clips\.npy.* --metrics"):
        symetric.SyMetric(task)

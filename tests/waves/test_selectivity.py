import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError


def test_cohens_d_of_known_numbers():
    a, b = [1, 2, 3, 4], [0, 1, 1, 2, 1, 0.5]
    responses = np.array(a + b)
    labels = np.array(["a"] * 4 + ["b"] * 6)
    for variance, expected in [("average", 1.542118), ("pooled", 1.668015)]:
        d = waves.cohens_d(responses, labels, variance=variance)
        np.testing.assert_allclose(d, [expected, -expected], atol=1e-6)


def test_cohens_d_of_an_energy_detector():
    # A quadrature pair tuned to pi/4 looks at gratings of 8 orientations, 18 phases.
    y, x = np.indices((28, 28))

    def grating(theta, phase):
        place = 2 * np.pi / 24 * (x * np.cos(theta) + y * np.sin(theta))
        return 0.5 + 0.5 * np.sin(place + phase)

    np.testing.assert_allclose(grating(np.pi / 4, 0)[0, 6], 0.94800947, atol=1e-8)
    angles = np.arange(8) * np.pi / 8
    stimuli = np.array(
        [[grating(a, 2 * np.pi * p / 18) for p in range(18)] for a in angles]
    ).reshape(144, 28, 28)
    labels = np.repeat(np.arange(8), 18)
    pair = [2 * grating(np.pi / 4, phase) - 1 for phase in (0, np.pi / 2)]
    answers = [np.sum((stimuli - 0.5) * part, axis=(1, 2)) for part in pair]
    d = waves.cohens_d(np.hypot(*answers), labels)
    expected = [-1.2272, 1.4656, 3.9157, 1.4656, -1.2272, -1.1860, -0.9034, -1.1860]
    np.testing.assert_allclose(d, expected, atol=1e-4)
    label, selective = waves.selectivity_map(d)
    assert label == 2 and selective


def test_map_of_cells():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 64)
    prefers = rng.integers(0, 3, (6, 7))
    responses = rng.normal(size=(192, 6, 7))
    tuned = np.arange(6)[:, None] % 2 == 0
    responses += 2.0 * ((labels[:, None, None] == prefers) & tuned)
    responses[:, 0, 0] = 1.0  # never varies
    label, selective = waves.selectivity_map(waves.cohens_d(responses, labels))
    expected = np.broadcast_to(tuned, (6, 7)).copy()
    expected[0, 0] = False
    np.testing.assert_array_equal(selective, expected)
    np.testing.assert_array_equal(label[expected], prefers[expected])
    assert label[0, 0] == 0


def test_same_label_fraction_of_known_maps():
    stripes = np.repeat(np.arange(4)[:, None], 6, axis=1)
    assert waves.same_label_fraction(stripes) == 0.5
    assert waves.same_label_fraction(stripes, boundary="open") == 20 / (20 + 18)
    halves = np.repeat([0, 1], 3)[None] * np.ones((4, 1), int)
    np.testing.assert_allclose(waves.same_label_fraction(halves), (24 + 16) / 48)
    assert waves.same_label_fraction(np.zeros((3, 3))) == 1
    assert waves.same_label_fraction(np.indices((4, 4)).sum(0) % 2) == 0
    # A wrong cell that does not count leaves the rest perfect.
    spoilt = np.zeros((5, 5), int)
    spoilt[2, 2] = 1
    assert waves.same_label_fraction(spoilt, where=spoilt == 0) == 1
    assert np.isnan(waves.same_label_fraction(spoilt, where=spoilt == 1))


def test_chance_is_what_shuffling_gives():
    rng = np.random.default_rng(1)
    labels = rng.choice(5, p=[0.5, 0.2, 0.1, 0.1, 0.1], size=(20, 20))
    chance = waves.chance_same_label(labels)
    shuffled = [
        waves.same_label_fraction(rng.permuted(labels.ravel()).reshape(20, 20))
        for _ in range(100)
    ]
    np.testing.assert_allclose(np.mean(shuffled), chance, atol=0.01)
    assert waves.chance_same_label(np.array([[0, 0, 1]])) == 1 / 3
    assert np.isnan(waves.chance_same_label(labels, where=np.zeros((20, 20))))


def test_orientation_step():
    # pi j / 8 along the columns of a torus of 8: one step of pi / 8, none along rows.
    theta = np.pi * np.arange(8)[None] / 8 * np.ones((5, 1))
    np.testing.assert_allclose(waves.orientation_step(theta), np.pi / 16)
    np.testing.assert_allclose(waves.orientation_step(theta + 3 * np.pi), np.pi / 16)
    random = np.random.default_rng(2).uniform(0, np.pi, (60, 60))
    np.testing.assert_allclose(waves.orientation_step(random), np.pi / 4, rtol=0.03)
    theta[2, 2] = np.nan
    assert np.isfinite(waves.orientation_step(theta))
    assert np.isnan(waves.orientation_step(np.full((3, 3), np.nan)))


def test_mistakes_are_named():
    r = np.ones((4, 2))
    for call, words in [
        (lambda: waves.cohens_d(r, np.arange(3)), "one label per response"),
        (lambda: waves.cohens_d(r, np.arange(4)), "2 stimuli each"),
        (lambda: waves.cohens_d(r, [0, 0, 1, 1], variance="max"), "'average'"),
        (lambda: waves.selectivity_map(np.ones((0, 3))), "classes"),
        (lambda: waves.same_label_fraction(np.ones(3)), "map"),
        (lambda: waves.same_label_fraction(np.ones((3, 2))), "periodic"),
        (lambda: waves.chance_same_label(np.ones((3, 3)), np.ones(3)), "map"),
        (lambda: waves.orientation_step(np.ones(3)), "map"),
    ]:
        with pytest.raises(UserError, match=words):
            call()

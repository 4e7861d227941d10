"""Sums over pixels and the scores made of them, on images small enough to count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import segmentation as pixels
from nwm_jax.core.layouts import IMAGES, PLANES, to_planes
from nwm_jax.experiments.segmentation import scores as segmentation

TRUTH = ["0033 0033 2200 2200", "5550 5000 0000 0001"]
ANSWERS = ["0031 0333 2200 2000", "5540 5500 0000 0001"]


def read(pictures):
    return np.array([[list(map(int, row)) for row in p.split()] for p in pictures])


def sums_of(layout, truth, answers, classes=6):
    """The sums for logits that give the answers."""
    logits = 4.0 * jax.nn.one_hot(answers, classes)
    if layout is PLANES:
        return pixels.all_sums(PLANES, to_planes(logits), np.moveaxis(truth, 0, -1))
    return pixels.all_sums(IMAGES, logits, truth)


@pytest.mark.parametrize("layout", (IMAGES, PLANES), ids=("images", "planes"))
def test_scores(layout):
    sums = sums_of(layout, jnp.asarray(read(TRUTH)), jnp.asarray(read(ANSWERS)))
    result = segmentation.scores(sums, 16)
    expected = {
        "accuracy": [0.8125, 0.875],
        "accuracy_foreground": [0.75, 0.8],
        "iou_foreground": [0.6, 2 / 3],
        "iou": [13 / 19, 14 / 18],
        "iou_legacy": [0.6956522, 0.7692308],
        # Of classes 1, 2 and 3: 0/1, 3/4, 3/5; of 1, 4 and 5: 1/1, 0/1, 3/5.
        "iou_classes": [(0 + 3 / 4 + 3 / 5) / 3, (1 + 0 + 3 / 5) / 3],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values, atol=1e-7)
    logits = np.array([4.0, 0, 0, 0, 0, 0])
    right, wrong = np.log(np.exp(logits).sum()) - logits[[0, 1]]
    first = (13 * right + 3 * wrong) / 16
    assert result["cross_entropy"][0] == pytest.approx(first, rel=1e-6)
    first = (6 * right + 2 * wrong) / 8
    assert result["cross_entropy_foreground"][0] == pytest.approx(first, rel=1e-6)
    assert set(result) == set(segmentation.SCORES)


def test_an_image_without_foreground_is_no_zero():
    nothing = jnp.zeros((1, 4, 4), int)
    result = segmentation.scores(sums_of(IMAGES, nothing, nothing), 16)
    assert result["accuracy"] == result["iou"] == 1
    for name in ("accuracy_foreground", "iou_foreground", "iou_classes", "iou_legacy"):
        assert np.isnan(result[name][0])


def test_the_background_alone():
    truth = read(TRUTH)
    sums = sums_of(IMAGES, jnp.asarray(truth), jnp.zeros_like(jnp.asarray(truth)))
    result = segmentation.background(np.asarray(sums["truth"]))
    scores = segmentation.scores(sums, 16)
    assert result["accuracy"] == pytest.approx(scores["accuracy"].mean())
    assert result["iou"] == pytest.approx(scores["iou"].mean())
    share = np.bincount(truth.ravel()) / truth.size
    share = share[share > 0]
    assert result["cross_entropy"] == pytest.approx(-(share * np.log(share)).sum())

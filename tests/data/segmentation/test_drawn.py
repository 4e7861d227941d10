"""Drawn datasets: to the last bit where the originals are known, by rule elsewhere."""

import hashlib
import pathlib

import numpy as np
import pytest

from nwm_jax.data.segmentation import multi_mnist, polygons, tetrominoes
from nwm_jax.data.segmentation.enlarge import enlarge
from nwm_jax.data.sequences import mnist
from nwm_jax.data.sequences.images import permutation
from nwm_jax.errors import UserError

ALL = {"train": 10_000, "valid": 1_000, "test": 1_000}


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_the_first_tetrominoes():
    images, labels = tetrominoes.draw({"train": 50})["train"]
    # Of the whole set, whose own digests the slow test checks.
    assert (digest(images), digest(labels)) == ("a3ed5ac0ec93940f", "6789b28e7ca57d6c")
    assert images[0].sum(dtype=int) == 269_828
    assert images[0, 10, 23].tolist() == [111, 217, 77]
    assert images[0, 11, 24].tolist() == [74, 145, 222]
    rows, columns = np.nonzero(labels[0] == 3)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (46, 59, 2, 22)
    assert np.bincount(labels[0].ravel()).tolist()[1:] == [196] * 4


@pytest.mark.slow
def test_all_tetrominoes():
    drawn = tetrominoes.draw(ALL)
    expected = {
        "train": ("540a65896f6a4a28", "239fd1a5219ecadb"),
        "valid": ("d1ce4acf5ecdbafc", "122580571f7c5e0c"),
        "test": ("3d548459ed6b74a9", "2719826ca161d157"),
    }
    for split, (images, labels) in drawn.items():
        assert (digest(images), digest(labels)) == expected[split]
    labels = drawn["test"][1]
    histogram = np.bincount(labels.ravel()).tolist()
    assert histogram == [3504472, 116032, 121128, 116032, 118776, 119560]
    share = (labels == 0).mean(axis=(1, 2))
    assert share.mean() == 0.855583984375
    assert (share / (2 - share)).mean() == pytest.approx(0.7537648, abs=1e-7)
    pieces = (labels > 0).sum(axis=(1, 2)) // 196
    assert np.bincount(pieces).tolist()[1:] == [205, 172, 225, 196, 202]
    entropy = -sum(p * np.log(p) for p in np.array(histogram) / labels.size)
    assert entropy == pytest.approx(0.645307, abs=1e-6)


def test_small_tetrominoes():
    drawn = tetrominoes.draw({"train": 5, "test": 3}, side=24, cell=2, seed=1)
    images, labels = drawn["train"]
    assert images.shape == (5, 24, 24, 3)
    assert images.dtype == labels.dtype == np.uint8
    assert np.all((images.sum(axis=-1) > 0) <= (labels > 0))
    assert drawn["test"][1].shape == (3, 24, 24)
    with pytest.raises(UserError, match=r"needs? a canvas of at least 63"):
        tetrominoes.draw({"train": 1}, side=60)


def test_polygons_by_the_rule():
    counts = [polygons.inside(32, n, 10, 0.3, (15.3, 16.1)).sum() for n in range(3, 9)]
    assert counts == [130, 203, 237, 259, 275, 284]


def test_polygons():
    sizes = {"train": 40, "valid": 6, "test": 6}
    drawn = polygons.draw(sizes)
    images, labels = drawn["train"]
    assert images.shape == (40, 32, 32, 1)
    np.testing.assert_array_equal(images[..., 0] > 0, labels > 0)
    assert sorted(np.unique(labels)) == [0, 1, 2, 3, 4]
    # An image depends on its own place only.
    again = polygons.draw({"train": 3, "valid": 2})
    np.testing.assert_array_equal(again["valid"][1], drawn["valid"][1][:2])
    assert digest(drawn["valid"][1]) != digest(drawn["test"][1])


def test_several_polygons_do_not_meet():
    _, labels = polygons.draw({"a": 30}, side=48, most=3, radius=(4.0, 6.0))["a"]
    classes = [len(np.unique(label)) - 1 for label in labels]
    assert max(classes) > 1
    assert min(classes) >= 1


def test_equal_areas_do_not_tell_the_class():
    options = {"side": 64, "radius": (12.0, 24.0)}
    spread = {}
    for equal in (False, True):
        _, labels = polygons.draw({"a": 300}, equal_area=equal, **options)["a"]
        areas = [
            np.mean((labels[labels.max((1, 2)) == k] > 0).sum((1, 2))) for k in (1, 4)
        ]
        spread[equal] = areas[1] / areas[0]
    assert spread[False] > 1.6
    assert spread[True] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corners": (2, 3)}, "different integers from 3"),
        ({"corners": (3, 3)}, "different integers from 3"),
        ({"radius": (7.0, 6.0)}, "two numbers above 0"),
        ({"radius": (6.0, 15.0)}, "do not fit on 32 x 32"),
        ({"most": 0}, "at least 1"),
    ],
)
def test_impossible_polygons(options, message):
    with pytest.raises(UserError, match=message):
        polygons.draw({"a": 1}, **options)


def test_several_digits():
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 256, (20, 28, 28), np.uint8)
    classes = np.arange(20) % 10
    sizes = {"train": 4, "test": 2}
    drawn = multi_mnist.draw(digits, classes, sizes, side=90, seed=3)
    images, labels = drawn["train"]
    assert images.shape == (4, 90, 90, 1)
    np.testing.assert_array_equal(images[..., 0] == 255, labels > 0)
    again = multi_mnist.draw(digits, classes, sizes, side=90, seed=3)
    np.testing.assert_array_equal(again["test"][1], drawn["test"][1])
    with pytest.raises(UserError, match="at least 42"):
        multi_mnist.draw(digits, classes, sizes, side=40)


def test_the_order_of_mnist():
    order = permutation(60_000, 42)
    assert order[:5].tolist() == [37542, 43087, 2992, 25810, 39634]
    assert order[51_000:51_005].tolist() == [24161, 50189, 26739, 43064, 59759]


@pytest.mark.slow
def test_the_published_digits_where_mnist_is_at_hand():
    folder = pathlib.Path("~/.cache/nwm_jax/mnist").expanduser()
    if not folder.is_dir():
        pytest.skip("MNIST is not in the cache")
    result = mnist.read(folder)
    labels = (enlarge(result.test, 2) > 0.5) * (result.test_labels[:, None, None] + 1)
    assert np.bincount(labels.ravel()).tolist() == [
        *(27200919, 532355, 270464, 486648, 452866, 376244),
        *(367519, 433438, 368791, 472690, 398066),
    ]
    drawn = multi_mnist.draw(result.train, result.train_labels, ALL)
    expected = {
        "train": ("d3b7cf221f26e935", "c72b05e85dadb279"),
        "valid": ("4baace8bba70725c", "a02abbdadd1f0a15"),
        "test": ("bdaf9297e835c5f0", "5184e8bfa5b6519a"),
    }
    for split, (images, labels) in drawn.items():
        assert (digest(images), digest(labels)) == expected[split]

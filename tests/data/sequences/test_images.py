"""Images as sequences: the order of pixels, the permutation, the split, the noise."""

import numpy as np
import pytest

from nwm_jax.data.sequences import digits, images
from nwm_jax.errors import UserError


def test_grey_images_are_read_row_by_row():
    result = images.scan(np.arange(2 * 784).reshape(2, 28, 28))
    np.testing.assert_array_equal(result[1, :, 0], np.arange(784, 2 * 784))


def test_colour_images_are_read_in_rows_of_three_channels():
    channel, row, column = np.ogrid[:3, :32, :32]
    coded = 10_000 * channel + 100 * row + column
    result = images.scan(np.moveaxis(coded, 0, -1)[None])
    assert result.shape == (1, 32, 96)
    assert result[0, 5, [0, 31, 32, 95]].tolist() == [500, 531, 10_500, 20_531]
    assert result[0, 31, 64] == 23_100
    index = np.arange(3 * 32 * 32).reshape(3, 32, 32)
    result = images.scan(np.moveaxis(index, 0, -1)[None])
    assert result[0, 0, [0, 31, 32, 64, 95]].tolist() == [0, 31, 1024, 2048, 2079]
    assert result[0, 5, 40] == 1192


def test_the_published_permutation():
    order = images.permutation()
    first = [91, 97, 471, 426, 157, 451, 312, 198, 117, 454, 357, 608]
    assert order[:12].tolist() == first
    assert order[-5:].tolist() == [456, 292, 432, 296, 267]
    assert sorted(order) == list(range(784))
    assert np.flatnonzero(order == 0) == 654
    assert (np.arange(784) * order).sum() == 121_301_791
    assert sorted(images.permutation(196)) == list(range(196))


def test_a_wrong_permutation_is_noticed(monkeypatch):
    monkeypatch.setattr(images, "PERMUTATION_SEED", 12009)
    with pytest.raises(RuntimeError, match="not the published one"):
        images.permutation()


def test_pooling_takes_means_of_squares():
    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    np.testing.assert_array_equal(images.pool(grey, 2), [[[2.5, 4.5], [10.5, 12.5]]])
    assert images.pool(grey, 1) is grey
    colours = np.stack([grey, grey + 100], axis=-1)
    np.testing.assert_array_equal(images.pool(colours, 4), [[[[7.5, 107.5]]]])
    for factor in (3, 0):
        with pytest.raises(UserError, match=f"data.pool={factor} does not divide"):
            images.pool(grey, factor)


def test_the_split_is_seeded_and_disjoint():
    train, valid = images.split(0, 60_000, 3000)
    assert len(train) == 57_000 and len(valid) == 3000
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train, valid])), np.arange(60_000)
    )
    np.testing.assert_array_equal(valid, images.split(0, 60_000, 3000)[1])
    assert (valid != images.split(1, 60_000, 3000)[1]).any()
    few, same = images.split(0, 60_000, 3000, 500)
    assert len(few) == 500 and set(few) < set(train)
    np.testing.assert_array_equal(same, valid)
    for wrong in ((50, 0), (20, 31), (-1, 0)):
        with pytest.raises(UserError, match="do not fit into 50 training images"):
            images.split(0, 50, *wrong)


def test_some_or_all_of_the_test():
    np.testing.assert_array_equal(images.choose(0, 7, 0), np.arange(7))
    chosen = images.choose(0, 1000, 100)
    assert len(set(chosen)) == 100 and chosen.min() >= 0 and chosen.max() < 1000
    assert chosen.mean() > 300
    with pytest.raises(UserError, match=r"data.num_test=8"):
        images.choose(0, 7, 8)


def test_noise_is_standard_normal_and_seeded():
    result = images.noise(0, 968, 96)
    assert result.shape == (968, 96)
    np.testing.assert_allclose([result.mean(), result.std()], [0, 1], atol=0.02)
    np.testing.assert_array_equal(result, images.noise(0, 968, 96))
    assert (result != images.noise(1, 968, 96)).any()


def test_digits_of_scikit_learn():
    result = digits.read()
    assert result.train.shape == (1500, 8, 8) and result.test.shape == (297, 8, 8)
    assert result.train.dtype == np.uint8 and result.train.max() == 255
    assert set(result.test_labels) == set(range(10))

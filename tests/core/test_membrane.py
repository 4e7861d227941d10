"""Drums: their motion, the frequencies that are heard, the areas that these tell."""

import jax
import numpy as np
import pytest

from nwm_jax.core import membrane
from nwm_jax.errors import UserError


def hear(shape, size, canvas):
    mask = membrane.mask(shape, size, canvas)
    series = np.asarray(membrane.vibrate(mask, membrane.strike(mask)))
    frequencies = membrane.fundamental(series[:, mask], 0.5)
    return mask, frequencies, membrane.area(frequencies, membrane.KAPPA[shape])


def test_the_first_steps():
    mask = membrane.mask("square", 8, 40)
    assert np.argwhere(mask)[0].tolist() == [16, 16]
    with jax.enable_x64(True):
        u = np.asarray(membrane.vibrate(mask, membrane.strike(mask, 2.0), num_steps=4))
    middle = [0.83551435, 0.64942831, 0.41812747, 0.18277262]
    np.testing.assert_allclose(u[:, 19, 19], middle, atol=1e-8)
    corner = [0.04950670, 0.05518952, 0.06304989, 0.07000576]
    np.testing.assert_allclose(u[:, 16, 16], corner, atol=1e-8)
    assert float(u[3].sum()) == pytest.approx(12.54550136, abs=1e-7)
    assert not np.any(u[:, ~mask])


# Frequency and area of every pixel, as the theory of the discrete membrane has them.
SQUARES = {
    8: (0.078367, 81.42),
    12: (0.054326, 169.41),
    16: (0.041565, 289.41),
    20: (0.033656, 441.41),
    24: (0.028275, 625.41),
    28: (0.024377, 841.41),
    32: (0.021423, 1089.41),
}
OTHERS = {
    ("disc", 8): (208, 228.96),
    ("disc", 12): (448, 476.31),
    ("disc", 16): (812, 851.08),
    ("triangle", 12): (187, 212.29),
    ("triangle", 18): (422, 454.92),
}


def check_square(size):
    frequency, area = SQUARES[size]
    _, frequencies, areas = hear("square", size, 40)
    np.testing.assert_allclose(frequencies, frequency, rtol=1e-4)
    np.testing.assert_allclose(areas, area, rtol=1e-4)
    # The membrane of the grid is one pixel larger than what moves.
    side = membrane.area(np.median(frequencies), 0.5) ** 0.5
    exact = np.arcsin(np.sqrt(2) * 0.5 * np.sin(np.pi / (2 * (size + 1)))) / (
        np.pi * 0.5
    )
    assert np.median(frequencies) == pytest.approx(exact, rel=1e-5)
    assert side == pytest.approx(size + 1, rel=3e-3)


def check_other(shape, size):
    pixels, area = OTHERS[shape, size]
    mask, _, areas = hear(shape, size, 48)
    assert mask.sum() == pixels
    np.testing.assert_allclose(areas, area, rtol=1e-4)


def test_one_square_and_one_triangle():
    check_square(8)
    check_other("triangle", 12)


@pytest.mark.slow
def test_all_sizes():
    for size in SQUARES:
        check_square(size)
    for shape, size in OTHERS:
        check_other(shape, size)


def test_a_sine_between_bins():
    t = np.arange(2048)
    series = np.sin(2 * np.pi * 0.0123456 * t) + 0.4 * np.cos(2 * np.pi * 0.05 * t)
    loud = 0.12 * np.sin(2 * np.pi * 0.0123456 * t) + np.cos(2 * np.pi * 0.05 * t)
    still = np.zeros_like(series)
    result = membrane.fundamental(np.stack([series + 3, loud, still], axis=1), 1.0)
    assert result[:2] == pytest.approx([0.0123456] * 2, rel=1e-5)
    assert np.isnan(result[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: membrane.mask("star", 3, 40), "unknown shape 'star'"),
        (lambda: membrane.mask("disc", 20, 40), "needs a canvas of at least 43"),
        (lambda: membrane.strike(np.zeros((3, 3), bool)), "has no pixels"),
        (
            lambda: membrane.vibrate(np.ones((3, 3), bool), np.ones((3, 3)), dt=0.8),
            "larger steps are unstable",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(UserError, match=message):
        call()

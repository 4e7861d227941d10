"""Rolling a field round its rings."""

import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.waves import roll_rings, slope


def test_roll():
    row = np.arange(6.0)[None]
    result = roll_rings(row, 0.7, 3)
    assert result.shape == (3, 1, 6)
    np.testing.assert_allclose(result[0, 0], row[0])
    np.testing.assert_allclose(result[1, 0], [3.5, 0.3, 1.3, 2.3, 3.3, 4.3])
    np.testing.assert_allclose(result[2, 0], [4.6, 2.0, 0.6, 1.6, 2.6, 3.6])
    whole = roll_rings(np.stack([row, row + 1]), 1.0, 2)
    np.testing.assert_allclose(whole[:, 1, 0], [[5, 0, 1, 2, 3, 4], [6, 1, 2, 3, 4, 5]])


def test_roll_backwards_undoes_it():
    field = np.random.default_rng(0).normal(size=(3, 7))
    there = roll_rings(field, 2.0, 4)[-1]
    np.testing.assert_allclose(roll_rings(there, -2.0, 4)[-1], field)


def test_slope():
    degrees = (350 - 20.0 * np.arange(18)) % 360
    assert slope(degrees) == pytest.approx(-20)
    assert slope((5 + 25.7 * np.arange(14)) % 360) == pytest.approx(25.7)


def test_refuses():
    with pytest.raises(UserError, match="a finite velocity"):
        roll_rings(np.ones((2, 3)), np.nan, 3)
    with pytest.raises(UserError, match="rings, ring"):
        roll_rings(np.ones(3), 1.0, 3)
    with pytest.raises(UserError, match="T >= 2"):
        slope(np.ones((2, 3)))

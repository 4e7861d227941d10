"""A synthetic pendulum clip and a synthetic wave, small and quick."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def clip():
    """Truth and a slowly drifting forecast, [40, 32, 32, 3] in [0, 1]."""
    return _pendulum(0.0), _pendulum(0.01)


@pytest.fixture(scope="session")
def wave():
    """A plane wave [40, 12, 16] towards higher columns."""
    t, i, j = np.indices((40, 12, 16))
    return np.cos(2 * np.pi * (t / 10 - j / 16)) + 0 * i


def _pendulum(drift):
    t = np.arange(40)
    angle = np.cos((0.25 + drift) * t)
    x, y = 0.5 + 0.3 * np.sin(angle), 0.5 - 0.3 * np.cos(angle)
    grid = np.linspace(0, 1, 32)
    distance = np.hypot(
        grid[None, None, :] - x[:, None, None], grid[None, :, None] - y[:, None, None]
    )
    disc = 1 / (1 + np.exp(80 * (distance - 0.1)))[..., None]
    background = np.array([0.321, 0.349, 0.368])
    images = disc * np.array([1.0, 0.0, 0.0]) + (1 - disc) * background
    return images.astype(np.float32)

"""A synthetic pendulum clip and a synthetic wave, small and quick."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nwm_jax.figures import style


@pytest.fixture(autouse=True)
def nothing_is_cut(monkeypatch):
    """Every picture of these tests is looked at: no label or title leaves the figure."""
    write = style.save_png

    def check(figure, path):
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
        width, height = figure.get_size_inches()
        inside = -0.01 < box.x0 and box.x1 < width + 0.01
        assert inside and -0.01 < box.y0 and box.y1 < height + 0.01, (path, box)
        return write(figure, path)

    monkeypatch.setattr(style, "save_png", check)


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

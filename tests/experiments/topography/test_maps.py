"""Panels over time, orientation maps and mosaics: what is drawn where."""

import numpy as np
import pytest
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.experiments.topography import maps, panels
from nwm_jax.experiments.topography.panels import Row


def test_mosaic(tmp_path):
    images = np.linspace(0, 1, 6)[:, None, None] * np.ones((6, 4, 5))
    images = images.reshape(2, 3, 4, 5)
    path = maps.draw_mosaic(tmp_path / "mosaic.png", images)
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (2 * 4 + 2, 3 * 5 + 2 * 2)
    assert (pixels[4:6] == 0).all()  # the gap
    assert pixels[0, 7] == 51 and pixels[-1, -1] == 255 and pixels[6, 0] == 153


def test_orientation_map(tmp_path):
    labels = np.arange(64).reshape(8, 8) % 8
    path = maps.draw_orientation_map(
        tmp_path / "map.png", labels, labels > 0, title="map", note="note"
    )
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    for color in maps.COLORS:
        wanted = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
        assert (np.abs(pixels.astype(int) - wanted).max(axis=1) <= 2).sum() > 500
    with pytest.raises(UserError, match="labels from 0 to 7"):
        maps.draw_orientation_map(tmp_path / "b.png", labels + 1, labels > 0)


def test_panels(tmp_path):
    """Row 0 is at the top, and arrows point where the picture's crests go."""
    picture = np.zeros((2, 10, 10))
    picture[:, :2] = 1.0
    down = np.zeros((2, 10, 10, 2))
    down[..., 0] = 1.0
    rows = [
        Row("image", picture, stars=np.array([[8, 1], [8, 2]]), triangle=(8, 8)),
        Row("velocity", down, "velocity"),
        Row("phase", picture, "phase", down, frame={1: "#e377c2"}),
        Row("field", picture - 0.5, "field"),
    ]
    path = panels.draw(
        tmp_path / "panels.png", rows, columns=["0", "1"], title="title", note="note"
    )
    grey = np.asarray(Image.open(path).convert("L")).astype(int)
    assert grey.shape[0] > grey.shape[1]
    with pytest.raises(UserError, match="has 2 pictures of kind 'image' for 3 columns"):
        panels.draw(tmp_path / "no.png", rows, columns=["0", "1", "2"])
    assert not (tmp_path / "no.png").exists()
    with pytest.raises(UserError, match="has 2 pictures of kind 'sound'"):
        row = rows[0]._replace(kind="sound")
        panels.draw(tmp_path / "no.png", [row], columns=["0", "1"])

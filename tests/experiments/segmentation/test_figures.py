"""Pictures of segmentations: written, of the right size, with what they show."""

import numpy as np
import pytest
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.experiments.segmentation import boxes, drum_figures, figures


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    labels = np.zeros((3, 8, 8), int)
    labels[:, 2:5, 3:7] = np.array([1, 2, 1])[:, None, None]
    images = np.repeat((labels > 0)[..., None].astype(float), 3, axis=-1)
    return images, labels, labels, rng.standard_normal((3, 12, 8, 8, 2))


NAMES = ("background", "square", "disc")


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_answers_have_the_colours_of_their_classes(clip, tmp_path):
    images, labels, answers, _ = clip
    path = figures.draw_answers(tmp_path / "a.png", images, labels, answers, NAMES)
    picture = read(path)
    for color in np.round(255 * np.array(figures.class_colors(3)(range(3)))[:, :3]):
        assert np.any(np.all(np.abs(picture - color) <= 1, axis=-1))


def test_states_and_spectra(clip, tmp_path):
    images, labels, answers, states = clip
    one = (images[0], labels[0], answers[0], states[0, ..., 0])
    assert read(figures.draw_states(tmp_path / "s.png", *one)).std() > 10
    assert (
        read(figures.draw_spectra(tmp_path / "f.png", states, labels, NAMES)).std() > 5
    )
    with Image.open(figures.animate_states(tmp_path / "s.webp", *one)) as moving:
        assert moving.n_frames == 12
    with pytest.raises(UserError, match="must end in"):
        figures.draw_states(tmp_path / "s.jpg", *one)


def test_a_wave_is_seen_upon_a_drift():
    t = np.arange(20.0)[:, None, None]
    wave = np.sin(np.arange(24) / 4 - t / 3) * np.ones((20, 24, 24))
    seen, limits = figures.about_mean(0.1 * wave + t)
    assert np.abs(seen).max(axis=(1, 2)).min() > 0.9  # the drift alone reaches 19
    assert 0.05 < limits.min() and limits.max() < 0.2


def test_the_share_of_a_field_by_distance():
    field = np.zeros((9, 9))
    field[4, 4], field[4, 6], field[0, 0] = 2, 1, 1
    distance, share = figures.cumulative_field(field)
    assert distance.tolist() == [0, 1, 2, 3, 4]
    assert share.tolist() == [0.5, 0.5, 0.75, 0.75, 1.0]
    assert figures.cumulative_field(np.zeros((3, 3)))[1].tolist() == [0, 0]


def test_receptive_field_and_boxes(tmp_path):
    field = np.exp(-np.hypot(*np.mgrid[-4:5, -4:5]))
    assert read(figures.draw_receptive_field(tmp_path / "r.png", field)).std() > 10
    scores = {"nwm linear": [0.9, 0.8], "cnn 2": [0.3]}
    path = boxes.draw_seeds(
        tmp_path / "b.png", scores, label="accuracy", baseline=("no skill", 0.1)
    )
    assert read(path).std() > 5
    with pytest.raises(UserError, match="no runs"):
        boxes.draw_seeds(tmp_path / "b.png", {}, label="accuracy")


def test_where_a_drum_is_listened_to():
    membrane = np.zeros((9, 9), bool)
    membrane[2:5, 3:8] = True
    assert drum_figures.listening_pixel(membrane) == (3, 5)

import numpy as np
import pytest
from matplotlib.quiver import Quiver
from PIL import Image

from nwm_jax import waves
from nwm_jax.errors import UserError
from nwm_jax.figures import recording, recording_spectrum, style
from nwm_jax.waves import analysis, describe
from nwm_jax.waves.fronts import flatten
from tests.helpers import wave_fields

VECTOR = wave_fields.torus_vector(2, -1)


@pytest.fixture(scope="module")
def signal():
    x = wave_fields.plane_wave(VECTOR) + 0.3 * wave_fields.noise()
    x[:, 4, 5] = np.nan
    return waves.wave_signal(x, band=(0.05, 0.2))


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written, to look at what is on them."""
    seen = []
    original = style.save_png

    def keep(figure, path):
        seen.append(figure)
        return original(figure, path)

    monkeypatch.setattr(style, "save_png", keep)
    return seen


@pytest.mark.parametrize("origin", ["lower", "upper"])
def test_directions_agree_on_map_and_histogram(signal, tmp_path, figures, origin):
    path = recording.draw_directions(
        tmp_path / "a.png", *flatten(signal), fs=100, origin=origin
    )
    (quiver,) = [c for c in figures[0].axes[0].collections if type(c) is Quiver]
    # Down in rows and left in columns, whichever way up the picture is.
    assert (quiver.V > 0).all() and (quiver.U < 0).all() and quiver.angles == "xy"
    assert figures[0].axes[0].yaxis_inverted() == (origin == "upper")
    (polar,) = [axes for axes in figures[0].axes if axes.name == "polar"]
    assert polar.get_theta_direction() == (-1 if origin == "upper" else 1)
    longest = max(polar.patches, key=lambda bar: bar.get_height())
    assert abs(longest.get_x() + np.pi / 36 - np.arctan2(*VECTOR)) < np.pi / 18
    words = [text.get_text() for text in figures[0].texts]
    assert any("coherence of the mean 1.00" in word for word in words)
    speed = float(words[-1].split()[-1])
    np.testing.assert_allclose(
        speed, 100 * wave_fields.OMEGA / np.hypot(*VECTOR), rtol=0.15
    )
    with Image.open(path) as image:
        assert np.asarray(image.convert("L")).std() > 20


def test_the_spectrum_marks_where_the_wave_goes(tmp_path, figures):
    x = wave_fields.plane_wave(VECTOR, (200, 12, 16)) + wave_fields.noise((200, 12, 16))
    result = waves.space_time_spectrum(x, segment=100, num_shuffles=9)
    recording_spectrum.draw_spectrum(tmp_path / "a.png", result, origin="upper")
    panels = figures[0].axes[:3]
    marks = [axes.lines[0].get_xydata()[0] for axes in panels]
    expected = [(VECTOR[1], 0.1), (VECTOR[0], 0.1), (VECTOR[1], VECTOR[0])]
    np.testing.assert_allclose(marks, expected)
    assert [axes.yaxis_inverted() for axes in panels] == [False, False, True]
    for axes, mark in zip(panels, expected, strict=False):
        # The brightest place of each picture is under its mark.
        image = axes.images[0]
        left, right, bottom, top = image.get_extent()
        level = image.get_array()
        row, column = np.unravel_index(np.argmax(level), level.shape)
        x = left + (column + 0.5) * (right - left) / level.shape[1]
        y = min(bottom, top) + (row + 0.5) * abs(top - bottom) / level.shape[0]
        np.testing.assert_allclose((x, y), mark, atol=1e-9)
    words = " ".join(text.get_text() for text in figures[0].texts)
    assert "0.1 cycles/frame," in words and "p = 0.1," in words


def test_the_order_is_that_of_the_cells_that_are_there(tmp_path, figures):
    """Cells that are missing count in neither component of a mean."""
    x = wave_fields.plane_wave(VECTOR, (60, 10, 10))
    x.reshape(60, -1)[:, np.random.default_rng(0).permutation(100)[:25]] = np.nan
    signal = waves.wave_signal(x)
    recording.draw_directions(tmp_path / "a.png", *flatten(signal))
    words = " ".join(text.get_text() for text in figures[0].texts)
    assert float(words.partition("coherence of the mean ")[2][:4]) >= 0.98


def test_units_stand_on_the_axes(signal, tmp_path, figures):
    result = analysis.analyse(
        wave_fields.plane_wave(VECTOR) + 0.3 * wave_fields.noise(),
        fs=100.0,
        band=(5, 20),
        spacing=0.4,
        units=describe.Units("s", "mm"),
    )
    paths = recording.draw(
        tmp_path, result, fs=100.0, boundary="open", units=describe.Units("s", "mm")
    )
    assert [path.suffix for path in paths] == 4 * [".png"] + [".webp"]
    words = [text.get_text() for figure in figures for text in figure.texts]
    words += [axes.get_xlabel() for figure in figures for axes in figure.axes]
    words += [axes.get_ylabel() for figure in figures for axes in figure.axes]
    words = " ".join(words).replace("shuffled cells", "")
    for unit in ("rad/mm", "mm/s", "time, s", "columns, mm", "4.8 x 6.4 mm", "Hz"):
        assert unit in words
    assert "cell" not in words
    with Image.open(paths[-1]) as movie:
        assert movie.n_frames >= 8


def test_a_source_is_a_ring_of_the_animation(tmp_path):
    t, i, j = np.indices((120, 12, 12))
    away = np.hypot(i - 4.0, j - 7.0)
    result = analysis.analyse(
        np.cos(2 * np.pi * (t / 20 - away / 12)), band=(0.02, 0.1)
    )
    assert (result.fronts.kind == "radial").any()
    recording.draw(tmp_path, result, fs=1.0, boundary="open", units=describe.Units())
    with Image.open(tmp_path / "waves.webp") as movie:
        movie.seek(movie.n_frames // 2)
        picture = np.asarray(movie.convert("RGB"))[40:]
    assert (picture.max(axis=-1) < 60).sum() > 50  # black


def test_difficult_recordings_still_give_pictures(tmp_path):
    x = wave_fields.noise((30, 1, 9))
    x[:, 0, 3] = np.nan
    together = np.cos(np.arange(30))[:, None, None] * np.ones((1, 4, 4))
    scattered = wave_fields.noise((30, 12))
    place = np.random.default_rng(0).uniform(size=(12, 2))
    for k, (field, positions) in enumerate(
        [(x, None), (together, None), (scattered, place)]
    ):
        result = analysis.analyse(field, positions=positions)
        paths = recording.draw(
            tmp_path / str(k), result, fs=1.0, boundary="open", units=describe.Units()
        )
        for path in paths:
            assert path.stat().st_size > 1000


def test_mistakes_are_named(signal, tmp_path):
    with pytest.raises(UserError, match="origin"):
        recording.draw_directions(tmp_path / "a.png", *flatten(signal), origin="left")
    with pytest.raises(UserError, match=r"\.png"):
        recording.draw_directions(tmp_path / "a.jpg", *flatten(signal))

import numpy as np
import pytest
from matplotlib.quiver import Quiver
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.figures import style, waves


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert path.stat().st_size < 300_000
        return np.asarray(image.convert("RGB")).astype(int)


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


def quivers(figure):
    return [c for axes in figure.axes for c in axes.collections if type(c) is Quiver]


@pytest.mark.parametrize("origin", ["lower", "upper"])
def test_arrows_point_along_the_wave(wave, tmp_path, figures, origin):
    t, i, j = np.indices((40, 12, 16))
    x = np.cos(2 * np.pi * (t / 10 - i / 12 - j / 16))
    path = waves.draw_snapshots(tmp_path / "a.png", x, title="plane", origin=origin)
    image = pixels(path)
    assert image.shape[1] > 1200 and image.std() > 20
    arrows = quivers(figures[0])
    assert len(arrows) == 6
    for quiver in arrows:
        np.testing.assert_allclose(quiver.V / quiver.U, 16 / 12, rtol=1e-6)
        assert (quiver.U > 0).all()
        # In data units: on an axis that runs down, positive rows point down.
        assert quiver.angles == "xy" and quiver.axes.yaxis_inverted() == (
            origin == "upper"
        )


def test_snapshots_cover_a_period(wave, tmp_path, figures):
    waves.draw_snapshots(tmp_path / "a.png", wave, first_frame=100)
    words = [text.get_text() for text in figures[0].texts]
    assert words[2:8] == ["frame 114", "116", "118", "120", "122", "124"]
    waves.draw_snapshots(tmp_path / "a.png", wave, first_frame=100, frames=[101, 139])
    assert "139" in [text.get_text() for text in figures[1].texts]


def test_difficult_fields_still_give_a_picture(wave, tmp_path):
    path = tmp_path / "a.png"
    holes = wave.copy()
    holes[:, 3:6, 2:5] = np.nan
    holes[5, 0, 0] = np.inf
    for field in (holes, np.zeros((5, 4, 4)), np.full((5, 4, 4), np.nan), wave[:3]):
        waves.draw_snapshots(path, field)
        waves.draw_space_time(path, field)
    ring = wave[:, :1]
    assert pixels(waves.draw_snapshots(path, ring)).std() > 20
    waves.draw_snapshots(path, wave[:, :2], boundary=("open", "periodic"))


def test_space_time_stripes_are_slanted(wave, tmp_path, figures):
    path = waves.draw_space_time(tmp_path / "a.png", wave, row=2, title="a row")
    assert pixels(path).std() > 40
    shown = figures[0].axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, wave[:, 2].T)  # position up, time right


def test_mistakes_are_named(wave, tmp_path):
    path = tmp_path / "a.png"
    for call, words in [
        (lambda: waves.draw_snapshots(path, wave[0]), r"\[T, H, W\]"),
        (lambda: waves.draw_snapshots(path, wave[:2]), "at least 3"),
        (lambda: waves.draw_snapshots(path, wave, frames=[40]), r"0 \.\.\. 39"),
        (lambda: waves.draw_snapshots(path, wave, frames=[]), "1 to 8"),
        (lambda: waves.draw_snapshots(path, wave, boundary="x"), "boundary"),
        (lambda: waves.draw_snapshots(path, wave, origin="x"), "origin"),
        (lambda: waves.draw_snapshots(tmp_path / "a", wave), "must end in .png"),
        (lambda: waves.draw_space_time(path, wave, row=12), r"rows 0 \.\.\. 11"),
        (lambda: waves.draw_space_time(path, wave + 0j), r"\[T, H, W\]"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())

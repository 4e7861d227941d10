import threading

import numpy as np
import pytest
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.figures import strip


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def is_red(image):
    return (image[..., 0] > 230) & (image[..., 1] < 25) & (image[..., 2] < 25)


def test_strip_is_a_small_picture_with_discs_below_the_middle(clip, tmp_path):
    path = strip.draw(
        tmp_path / "new" / "strip.png",
        *clip,
        first_frame=1,
        num_observed=11,
        title="pendulum",
    )
    assert path == tmp_path / "new" / "strip.png"
    assert path.stat().st_size < 300_000
    assert [p.name for p in path.parent.iterdir()] == ["strip.png"]
    image = pixels(path)
    assert image.shape[1] > 1200 and image.shape[0] > 400
    assert (image[0] == 255).all() and (image[:, -1] == 255).all()
    # The pendulum hangs at low y, stored in low rows: on the picture it must hang in
    # the lower half of its panel. The grey of the panels tells where the first row is.
    grey = (np.abs(image - [82, 89, 94]) < 3).all(axis=-1)
    rows = np.flatnonzero(grey.sum(axis=1) > 300)
    panel = rows[: np.flatnonzero(np.diff(rows) > 3)[0] + 1]
    discs = np.flatnonzero(is_red(image[panel[0] : panel[-1]]).any(axis=1))
    assert discs.min() > 0.45 * len(panel)
    above = strip.draw(
        tmp_path / "up.png", *clip, first_frame=1, num_observed=11, origin="upper"
    )
    assert not np.array_equal(pixels(above)[-200:], image[-200:])


def test_equal_clips_have_no_visible_error_and_the_same_bytes(clip, tmp_path):
    truth, _ = clip
    for name in ("a.png", "b.png"):
        strip.draw(tmp_path / name, truth, truth, first_frame=0, num_observed=5)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = pixels(tmp_path / "a.png")
    row = image[-60]  # through the error row
    assert (row[130:1400] > 140).all()


def test_uint8_one_channel_and_diverged_forecasts(clip, tmp_path):
    truth = np.uint8(clip[0] * 255)
    options = {"first_frame": 0, "num_observed": 5}
    a = strip.draw(tmp_path / "a.png", truth, truth, **options)
    b = strip.draw(tmp_path / "b.png", truth / np.float32(255), truth, **options)
    assert a.read_bytes() == b.read_bytes()
    strip.draw(tmp_path / "c.png", truth[..., :1], truth[..., 1:2], **options)
    broken = clip[1].copy()
    broken[20:] = np.nan
    image = pixels(strip.draw(tmp_path / "d.png", clip[0], broken, **options))
    assert (image == [255, 0, 255]).all(axis=-1).sum() > 1000


@pytest.mark.parametrize("num_observed", [-3, 0, 1, 20, 40, 99])
def test_any_boundary_and_clips_of_one_frame(clip, tmp_path, num_observed):
    path = tmp_path / "a.png"
    strip.draw(path, *clip, first_frame=0, num_observed=num_observed, num_columns=3)
    one = [part[:1] for part in clip]
    strip.draw(path, *one, first_frame=7, num_observed=num_observed)
    assert pixels(path).std() > 5


def test_chosen_frames():
    assert strip.choose(90, 30, 11) == [0, 14, 29, 30, 38, 47, 55, 64, 72, 81, 89]
    assert strip.choose(60, 0, 3) == [0, 30, 59]
    assert strip.choose(5, 5, 11) == [0, 1, 2, 3, 4]
    assert strip.choose(10, 9, 4) == [0, 4, 8, 9]
    assert strip.choose(10, 1, 2) == [0, 1]


def test_threads_draw_the_same_pictures(clip, tmp_path):
    def work(name):
        strip.draw(tmp_path / name, *clip, first_frame=0, num_observed=9, num_columns=4)

    threads = [threading.Thread(target=work, args=(f"{i}.png",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_mistakes_are_named(clip, tmp_path):
    truth, forecast = clip
    options = {"first_frame": 0, "num_observed": 5}
    for args, more, words in [
        ((truth, forecast[1:]), {}, "same shape"),
        ((truth[0], forecast[0]), {}, r"\[T, H, W, C\]"),
        ((truth[..., :2], forecast[..., :2]), {}, "C = 1 or 3"),
        ((truth[:0], forecast[:0]), {}, r"\[T, H, W, C\]"),
        ((truth > 0.5, forecast > 0.5), {}, "uint8"),
        ((truth, forecast), {"origin": "top"}, "origin"),
        ((truth, forecast), {"num_columns": 1}, "at least 2"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            strip.draw(tmp_path / "a.png", *args, **options, **more)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"must end in .png"):
        strip.draw(tmp_path / "a.jpg", truth, forecast, **options)
    assert not list(tmp_path.iterdir())

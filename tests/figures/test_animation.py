import numpy as np
import pytest
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.figures import animation


def read(path):
    """All frames as int [T, H, W, 3], and Pillow's description of the file."""
    with Image.open(path) as image:
        info = {"format": image.format, "loop": image.info.get("loop")}
        frames, durations = [], []
        for k in range(image.n_frames):
            image.seek(k)
            image.load()  # WebP knows the duration only then
            frames.append(np.asarray(image.convert("RGB")).astype(int))
            durations.append(image.info["duration"])
    return np.stack(frames), info | {"durations": set(durations)}


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_clip_field_and_phase(clip, wave, tmp_path, suffix):
    path = animation.save(
        tmp_path / f"a{suffix}", *clip, wave, num_observed=10, first_frame=1
    )
    assert path.stat().st_size < 11_000 * 40
    frames, info = read(path)
    assert info["format"] == suffix[1:].upper()
    assert info["loop"] == 0 and info["durations"] == {50}
    assert len(frames) == 40
    assert (frames[:, 0] == 255).all()  # white margin, exactly, in all frames
    assert np.abs(np.diff(frames, axis=0)).reshape(39, -1).max(axis=1).min() > 50
    # The disc is red, and in the lower half of the panels.
    red = (frames[..., 0] > 230) & (frames[..., 1] < 30) & (frames[..., 2] < 30)
    side = frames.shape[1] - 30 - 26 - 34
    rows = np.argwhere(red)[:, 1]
    assert 30 + 0.4 * side < rows.min() and rows.max() < 30 + side
    # The crest of the wave moves to the right by 1.6 of 16 cells per frame.
    assert crest_speed(frames, side) == pytest.approx(1.6, rel=0.05)


def crest_speed(frames, side):
    """Cells per frame, from the dark red of the third panel."""
    width = round(side * 16 / 12)
    left = 3 * 14 + 2 * side
    panel = frames[:, 30 + side // 2, left : left + width]
    warm = (panel[..., 0] - panel[..., 2]).astype(float)
    wave = np.fft.fft(warm, axis=1)[:, 1]
    turn = np.angle(wave[1:] * wave[:-1].conj())
    return -np.median(turn) / (2 * np.pi) * 16


def test_without_a_field_there_are_two_panels(clip, wave, tmp_path):
    two, _ = read(animation.save(tmp_path / "a.gif", *clip, None, num_observed=10))
    four, _ = read(animation.save(tmp_path / "b.gif", *clip, wave, num_observed=10))
    assert two.shape[2] < 0.8 * four.shape[2]
    assert len(two) == 40


def test_rings_missing_cells_and_diverged_forecasts(clip, tmp_path):
    t, i, j = np.indices((40, 5, 30))
    rings = np.sin(2 * np.pi * (t / 8 - j / 30) + i).astype(np.float32)
    rings[:, 2, 3] = np.nan
    rings[:, 3, 3] = 0.5
    broken = clip[1].copy()
    broken[20:] = np.nan
    path = animation.save(tmp_path / "a.gif", clip[0], broken, rings, num_observed=10)
    frames, _ = read(path)
    magenta = (frames == [255, 0, 255]).all(axis=-1).sum(axis=(1, 2))
    assert (magenta[:20] == 0).all() and (magenta[20:] > 5000).all()


def test_a_busy_gif_is_drawn_smaller(clip, tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.uniform(size=clip[0].shape)
    field = rng.normal(size=(40, 24, 24))
    busy = animation.save(tmp_path / "a.gif", clip[0], noise, field, num_observed=10)
    calm = animation.save(tmp_path / "b.gif", *clip, None, num_observed=10)
    assert read(busy)[0].shape[1] < read(calm)[0].shape[1]
    assert busy.stat().st_size < 20_000 * 40


def test_one_frame_fps_and_uint8(clip, tmp_path):
    images = np.uint8(clip[0][:1] * 255)
    path = animation.save(tmp_path / "a.webp", images, images, None, num_observed=0)
    with Image.open(path) as image:
        assert image.size[0] > 300
    path = animation.save(tmp_path / "b.gif", *clip, None, num_observed=0, fps=10)
    assert read(path)[1]["durations"] == {100}


def test_mistakes_are_named(clip, wave, tmp_path):
    for field, more, words in [
        (wave[1:], {}, "39 frames and the images 40"),
        (wave[..., None], {}, r"\[T, H, W\]"),
        (wave + 1j, {}, r"\[T, H, W\]"),
        (wave, {"fps": 0}, "fps"),
        (wave, {"origin": "left"}, "origin"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            animation.save(tmp_path / "a.gif", *clip, field, num_observed=1, **more)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="same shape"):
        animation.save(tmp_path / "a.gif", clip[0], clip[1][1:], None, num_observed=1)
    with pytest.raises(UserError, match=r".gif or .webp"):
        animation.save(tmp_path / "a.mp4", *clip, None, num_observed=1)
    short = [part[:2] for part in clip]
    with pytest.raises(UserError, match="at least 3"):
        animation.save(tmp_path / "a.gif", *short, wave[:2], num_observed=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("fps", [30, 35, 50])
def test_rate(clip, tmp_path, suffix, fps):
    path = animation.save(tmp_path / f"a{suffix}", *clip, None, num_observed=0, fps=fps)
    assert sum(each_duration(path)) == pytest.approx(40_000 / fps, abs=5.1)
    assert max(each_duration(path)) - min(each_duration(path)) <= 10


def each_duration(path):
    with Image.open(path) as image:
        durations = []
        for k in range(image.n_frames):
            image.seek(k)
            image.load()
            durations.append(image.info["duration"])
    return durations

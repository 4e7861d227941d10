"""What a task reads: simulated datasets, and movies of your own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import data
from nwm_jax.data import render, suite, systems, trajectories
from nwm_jax.data.source import open_frames
from nwm_jax.data.specs import params_of
from nwm_jax.errors import UserError

SIZES = {"num_train": 6, "num_test": 3, "num_frames": 16, "dt": 0.05, "seed": 0}


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def _frames(n=10, frames=7):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, frames, 8, 6, 2), np.uint8)


def _saved(tmp_path, array, **options):
    path = tmp_path / "frames.npy"
    np.save(path, array, **options)
    return data.open_source(name="", path=str(path), **SIZES)


@pytest.mark.parametrize(
    "name", ["spring", "pendulum", "pendulum_colors_friction", "two_body"]
)
def test_simulated(name, cache_dir):
    source = data.open_source(name=name, cache_dir=cache_dir, **SIZES)
    assert (source.num_frames, source.image_shape) == (16, (32, 32, 3))
    assert (source.size("train"), source.size("test")) == (6, 3)
    indices, starts = np.array([2, 0, 2]), np.array([0, 6, 3])
    batch = source.read("test", indices, starts, 10)
    assert all(isinstance(v, np.ndarray) and len(v) == 3 for v in batch.values())
    images = jax.jit(source.decode)(batch)["images"]
    assert images.shape == (3, 10, 32, 32, 3) and images.dtype == jnp.float32
    levels = np.rint(np.asarray(images) * 255)
    np.testing.assert_array_equal(images, levels.astype(np.float32) / np.float32(255))

    # The same in float64 from the simulation itself.
    spec = suite.get(name)
    raw = trajectories.simulate_chunk(spec, "test", 0, num_frames=16, dt=0.05, seed=0)
    raw = {key: value[indices] for key, value in raw.items()}
    states = np.stack(
        [x[s : s + 10] for x, s in zip(raw["states"], starts, strict=False)]
    )
    np.testing.assert_array_equal(
        source.decode(batch)["states"], states.astype(np.float32)
    )
    exact = render.render(
        systems.get(spec.system).positions(
            params_of(raw), np.split(states, 2, axis=-1)[0], raw["offset"]
        ),
        raw["radius"][:, None],
        raw["color_index"][:, None],
        canvas_min=spec.canvas[0],
        canvas_max=spec.canvas[1],
        num_colors=spec.num_colors,
        dtype=np.float64,
    )
    difference = np.abs(levels - render.to_uint8(np.asarray(exact)))
    assert difference.max() <= 1 and (difference > 0).mean() < 3e-4


def _check_whole(name, dt, cache_dir):
    """A source without constants: states and pictures are those of the dataset."""
    spec, sizes = suite.get(name), {**SIZES, "dt": dt}
    source = data.open_source(name=name, cache_dir=cache_dir, **sizes)
    assert source.origin == spec.origin
    batch = source.read("test", np.array([2, 0]), np.array([3, 6]), 10)
    assert list(batch) == ["states"]
    raw = trajectories.simulate_chunk(spec, "test", 0, num_frames=16, dt=dt, seed=0)
    states = np.stack([raw["states"][2, 3:13], raw["states"][0, 6:16]])
    np.testing.assert_array_equal(
        source.decode(batch)["states"], states.astype(np.float32)
    )
    images = jax.jit(source.decode)(batch)["images"]
    assert images.shape == (2, 10, 32, 32, 3) and images.dtype == jnp.float32
    levels = np.rint(np.asarray(images) * 255)
    np.testing.assert_array_equal(images, levels.astype(np.float32) / np.float32(255))
    exact = spec.images({"states": states})
    assert exact.dtype == np.float64
    difference = np.abs(levels - render.to_uint8(np.asarray(exact)))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
    return raw["states"], np.asarray(exact)


def test_games(cache_dir):
    states, image = _check_whole("pennies", 0.1, cache_dir)
    assert len(np.unique(states[:, 0], axis=0)) == 1024
    joint = states[2, 3, :2, None] * states[2, 3, None, 2:]
    np.testing.assert_array_equal(image[0, 0, ::16, ::16, 0], joint)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lj_4", "lj_16"])
def test_boxes(name, cache_dir):
    states, image = _check_whole(name, 0.004, cache_dir)
    assert len(np.unique(states[:, 0], axis=0)) == 1024
    half = systems.get(name).side / 2
    places = states[..., : states.shape[-1] // 2]
    assert np.abs(places).max() <= half
    # Particle 0 is in front, and red.
    column, row = np.rint((places[2, 3, :2] / half + 1) / 2 * 31).astype(int)
    red = image[0, 0, row, column]
    assert red[0] > 0.8 and red[0] > 3 * red[1:].max()


def test_rows_are_independent(cache_dir):
    source = data.open_source(name="pendulum_colors", cache_dir=cache_dir, **SIZES)
    images = jax.jit(lambda batch: source.decode(batch)["images"])
    indices, starts = np.arange(6), np.arange(6)
    whole = source.read("train", indices, starts, 10)
    part = source.read("train", indices[2:4], starts[2:4], 10)
    for key in whole:
        np.testing.assert_array_equal(whole[key][2:4], part[key])
    np.testing.assert_allclose(images(whole)[2:4], images(part), atol=1.01 / 255)


def test_the_user_keeps_float32_under_x64(cache_dir):
    source = data.open_source(name="pendulum", cache_dir=cache_dir, **SIZES)
    batch = source.read("train", np.arange(2), np.zeros(2, int), 4)
    plain = source.decode(batch)["images"]
    with jax.enable_x64(True):
        images = source.decode(batch)["images"]
        assert images.dtype == jnp.float32
    np.testing.assert_allclose(images, plain, atol=1.01 / 255)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 0),
        ("num_test", -1),
        ("num_frames", 1),
        ("dt", 0.0),
        ("dt", np.nan),
    ],
)
def test_impossible_sizes(field, value, cache_dir):
    with pytest.raises(UserError, match=f"data.{field} is"):
        data.open_source(name="spring", cache_dir=cache_dir, **{**SIZES, field: value})


def test_unknown_name(cache_dir):
    with pytest.raises(UserError, match="did you mean 'pendulum'"):
        data.open_source(name="pendulm", cache_dir=cache_dir, **SIZES)


@pytest.mark.parametrize(
    ("n", "valid", "test"), [(2, 0, 1), (4, 1, 1), (10, 1, 2), (29, 2, 5)]
)
def test_frames_are_split_four_to_one(tmp_path, n, valid, test):
    frames = _frames(n)
    source = _saved(tmp_path, frames)
    assert (source.size("train"), source.size("test")) == (n - test - valid, test)
    # A single trajectory serves for training and for validation.
    assert source.size("valid") == max(valid, 1)
    held = source.read("valid", np.array([0]), np.array([0]), 7)
    np.testing.assert_array_equal(held["frames"][0], frames[n - test - max(valid, 1)])
    last = source.read("test", np.array([test - 1]), np.array([0]), 7)
    np.testing.assert_array_equal(last["frames"][0], frames[-1])
    assert list(source.decode(last)) == ["images"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_frames_become_images(tmp_path, order):
    frames = _frames()
    source = _saved(tmp_path, np.asarray(frames, order=order))
    assert (source.num_frames, source.image_shape) == (7, (8, 6, 2))
    batch = source.read("train", np.array([3, 1]), np.array([2, 0]), 5)
    expected = np.stack([frames[3, 2:], frames[1, :5]])
    assert batch["frames"].dtype == np.uint8
    np.testing.assert_array_equal(batch["frames"], expected)
    images = jax.jit(source.decode)(batch)["images"]
    np.testing.assert_array_equal(images, expected.astype(np.float32) / np.float32(255))
    with pytest.raises(UserError, match="do not fit into trajectories of 7 frames"):
        source.read("train", np.array([0]), np.array([0]), 8)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (_frames().astype(np.float32), "holds float32, not uint8"),
        (_frames()[0], r"shape \[7, 8, 6, 2\]: it must be"),
        (_frames(1), "at least two trajectories"),
        (_frames(4, 1), "at least two frames"),
        (_frames()[:, :, :0], "none of them empty"),
    ],
)
def test_wrong_frames(tmp_path, array, message):
    with pytest.raises(UserError, match=message) as caught:
        _saved(tmp_path, array)
    assert "\n" not in str(caught.value)


def test_nothing_is_simulated_before_it_is_read(tmp_path):
    source = data.open_source(name="spring", cache_dir=str(tmp_path / "c"), **SIZES)
    assert (source.num_frames, source.image_shape) == (16, (32, 32, 3))
    assert not (tmp_path / "c").exists()
    source.read("train", np.array([0]), np.array([0]), 2)
    assert (tmp_path / "c").exists()


def test_single_clips_where_they_are_welcome(tmp_path):
    np.save(tmp_path / "clip.npy", _frames()[0])
    clip = open_frames(tmp_path / "clip.npy", ranks=(4, 5))
    np.testing.assert_array_equal(clip, _frames()[0])
    with pytest.raises(UserError, match=r"of shape \[trajectories, time, height"):
        open_frames(tmp_path / "clip.npy")


def test_frames_that_would_run_code(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        _saved(tmp_path, np.array([{"a": 1}], object), allow_pickle=True)


def test_files_that_are_no_frames(tmp_path):
    path = tmp_path / "frames.npy"

    def refused(match):
        with pytest.raises(UserError, match=match) as caught:
            data.open_source(name="", path=str(path), **SIZES)
        assert "\n" not in str(caught.value)

    refused("No such file or directory.*a folder with features.txt or a .npy file")
    path.write_bytes(b"")
    refused("cannot be read")
    path.write_text("hello")
    refused("cannot be read")
    np.save(path, _frames())
    path.write_bytes(path.read_bytes()[:-1])
    refused("cannot be read")
    with open(path, "wb") as file:
        np.savez(file, frames=_frames())
    refused("archive")
    path.unlink()
    path.mkdir()
    refused("is a folder without features.txt")
    path.rmdir()
    path.symlink_to(path)
    refused("symbolic links")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("x" * 300, "File name too long"),
        ("~nobody-of-this-name/frames.npy", "no such home folder"),
        ("a\0b", "null (byte|character)"),
    ],
)
def test_paths_that_are_none(path, text):
    with pytest.raises(UserError, match=text) as caught:
        data.open_source(name="", path=path, **SIZES)
    assert "\n" not in str(caught.value)

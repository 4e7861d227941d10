"""Training data from folders of TFRecords."""

import json

import jax
import numpy as np
import pytest

from nwm_jax import data
from nwm_jax.config import presets
from nwm_jax.data import records, tfrecord
from nwm_jax.data.records import RecordsSource
from nwm_jax.errors import UserError
from nwm_jax.training import loop
from nwm_jax.training.registry import build
from tests.helpers import tiny_forecasting
from tests.helpers.golden_files import GOLDEN

SIZES = {"num_train": 6, "num_test": 3, "num_frames": 16, "dt": 0.05, "seed": 0}


def clips(n, frames=tiny_forecasting.FRAMES, seed=0):
    """Trajectories of noise, and of states that tell their number and their time."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        x = np.stack([np.full(frames, 0.1 + i), np.arange(frames)], axis=1)
        image = rng.integers(0, 256, (frames, 8, 8, 3), np.uint8)
        yield {"x": x, "dx_dt": -x, "image": image, "other/offset": np.zeros((1, 2))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    tfrecord.write(folder, "train", clips(8))
    tfrecord.write(folder, "test", clips(2, seed=1))
    return folder


@pytest.fixture
def source(folder):
    return RecordsSource(folder)


def test_what_a_folder_tells(source, folder, monkeypatch):
    assert (source.num_frames, source.image_shape) == (
        tiny_forecasting.FRAMES,
        (8, 8, 3),
    )
    assert [source.size(s) for s in ("train", "valid", "test")] == [7, 1, 2]
    opened = data.open_source(name="anything", path=str(folder), **SIZES)
    assert isinstance(opened, RecordsSource)
    monkeypatch.setenv("HOME", str(folder.parent))
    opened = data.open_source(name="", path=f"~/{folder.name}", **SIZES)
    assert opened.size("train") == 7


def test_windows(source):
    written = list(clips(8))
    indices, starts = np.array([5, 0, 5]), np.array([0, 9, 3])
    batch = source.read("train", indices, starts, 5)
    cut = [(written[i], slice(s, s + 5)) for i, s in zip(indices, starts, strict=False)]
    frames = np.stack([record["image"][window] for record, window in cut])
    states = np.stack([record["x"][window] for record, window in cut])
    np.testing.assert_array_equal(batch["frames"], frames)
    assert source.decode(batch)["states"].dtype == np.float32
    np.testing.assert_array_equal(
        source.decode(batch)["states"], states.astype(np.float32)
    )
    images = jax.jit(source.decode)(batch)["images"]
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, frames.astype(np.float32) / np.float32(255))
    with pytest.raises(UserError, match="do not fit into trajectories of 14 frames"):
        source.read("train", indices, starts, 15)
    with pytest.raises(IndexError):
        source.read("train", np.array([7]), np.array([0]), 5)


def test_the_validation_split_is_the_end_of_the_training_file(source):
    """And training never reads it."""
    written = list(clips(8))
    batch = source.read("valid", np.array([0]), np.array([2]), 5)
    np.testing.assert_array_equal(batch["frames"][0], written[7]["image"][2:7])
    with pytest.raises(IndexError):
        source.read("valid", np.array([1]), np.array([0]), 5)


@pytest.mark.parametrize("room", [0, 3 * 8 * 8 * tiny_forecasting.FRAMES * 4, 2**30])
def test_trajectories_are_decoded_once(folder, room, monkeypatch):
    """Once a batch, and not again while there is room."""
    monkeypatch.setattr(records, "_KEPT_BYTES", room)
    source = RecordsSource(folder)
    plain = RecordsSource(folder)
    decoded = []
    get = tfrecord.Records.__getitem__

    def counted(self, index):
        decoded.append(index)
        return get(self, index)

    monkeypatch.setattr(tfrecord.Records, "__getitem__", counted)
    indices, starts = np.array([4, 1, 4, 6, 4, 2, 1]), np.arange(7)
    for _ in range(2):
        batch = source.read("train", indices, starts, 3)
    expected = 4 * 2 - {0: 0, 2**30: 4}.get(room, 3)
    assert len(decoded) == expected and set(decoded) == {1, 2, 4, 6}
    monkeypatch.undo()
    for key, array in plain.read("train", indices, starts, 3).items():
        np.testing.assert_array_equal(batch[key], array)
    test = source.read("test", np.array([1]), np.array([0]), 3)
    assert not np.array_equal(test["frames"][0], batch["frames"][1])


def test_a_test_split_alone_is_for_evaluation(tmp_path):
    tfrecord.write(tmp_path, "test", clips(3, frames=30))
    source = RecordsSource(tmp_path)
    assert (source.num_frames, source.size("test")) == (30, 3)
    assert len(source.read("test", np.arange(3), np.zeros(3, int), 30)["frames"]) == 3
    for use in (
        lambda: source.size("train"),
        lambda: source.read("train", np.arange(3), np.zeros(3, int), 3),
    ):
        with pytest.raises(UserError, match=r"has no train.tfrecord, only test.tfreco"):
            use()


def test_folders_that_are_no_dataset(tmp_path):
    def refused(match):
        with pytest.raises(UserError, match=match) as caught:
            data.open_source(name="", path=str(tmp_path), **SIZES)
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)

    refused("is a folder without features.txt")
    for text in (
        "x, (8, 2), float64\n",
        "image, (32, 32, 3), uint8\n",
        "image, (8, 32, 32, 3), float64\n",
        "image, (1, 32, 32, 3), uint8\n",
    ):
        (tmp_path / "features.txt").write_text(text)
        refused("has no images of trajectories")
    (tmp_path / "features.txt").write_text("image, (8, 32, 32, 3), uint8\n")
    refused("neither train.tfrecord nor test.tfrecord")
    (tmp_path / "train.tfrecord").write_bytes(b"damaged")
    refused("record 0 at byte 0")


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_splits_are_needed_before_anything_is_compiled(tmp_path, split):
    for name in ("train", "test"):
        tfrecord.write(tmp_path, name, clips(2))
    config = tiny_forecasting.config(tmp_path)
    (tmp_path / f"{split}.tfrecord").write_bytes(b"")
    with pytest.raises(UserError, match=f"{split}.tfrecord holds no records"):
        build(config)
    (tmp_path / f"{split}.tfrecord").unlink()
    with pytest.raises(UserError, match=f"has no {split}.tfrecord"):
        build(config)


def test_a_file_of_a_dataset_in_the_place_of_its_folder(folder):
    for name in ("features.txt", "train.tfrecord"):
        with pytest.raises(UserError, match=f"give its folder, {folder}$"):
            data.open_source(name="", path=str(folder / name), **SIZES)


def say(folder, **what):
    said = {"dataset": "lj_4", "format": "tfrecord", "num_train": 8, "num_test": 2}
    (folder / "generate.json").write_text(json.dumps(said | {"finished": True} | what))


def test_what_a_generated_set_says_of_itself(tmp_path):
    tfrecord.write(tmp_path, "train", clips(8))
    tfrecord.write(tmp_path, "test", clips(2, seed=1))
    say(tmp_path)
    assert RecordsSource(tmp_path).size("train") == 7
    # As if the last record had been cut off: what is left is whole.
    tfrecord.write(tmp_path, "train", clips(7), overwrite=True)
    source = RecordsSource(tmp_path)
    for use in (
        lambda: source.size("train"),
        lambda: source.read("train", np.arange(3), np.zeros(3, int), 3),
    ):
        with pytest.raises(
            UserError, match=r"holds 7 records, but generate.json .* 8:"
        ):
            use()
    assert source.size("test") == 2
    say(tmp_path, num_train=0)
    assert RecordsSource(tmp_path).size("train") == 6
    say(tmp_path, finished=False)
    with pytest.raises(UserError, match=r"unfinished.* run the same generate command"):
        RecordsSource(tmp_path)
    say(tmp_path, format="states")
    with pytest.raises(UserError, match="holds states only"):
        RecordsSource(tmp_path)


def test_which_row_is_the_lowest(tmp_path, monkeypatch):
    def plain(n):
        return [{"image": clip["image"]} for clip in clips(n)]

    tfrecord.write(tmp_path / "lj_4", "test", plain(1))
    tfrecord.write(tmp_path / "mine", "test", plain(1))
    monkeypatch.chdir(tmp_path / "lj_4")
    for path in (".", tmp_path / "mine" / ".." / "lj_4"):
        assert RecordsSource(path).origin == "lower"
    assert RecordsSource(tmp_path / "mine").origin == "upper"
    for dataset, origin in (("lj_4", "lower"), ("matching_pennies", "upper")):
        for name in ("mine", "lj_4"):
            say(tmp_path / name, dataset=dataset)
            assert RecordsSource(tmp_path / name).origin == origin
    say(tmp_path / "mine", dataset="of another version")
    assert RecordsSource(tmp_path / "mine").origin == "upper"


def test_a_room_gives_a_batch(tmp_path):
    """mujoco_room: 256 frames, the camera's place and velocity, nothing else."""
    for split, n in (("train", 3), ("test", 1)):
        rooms = (
            {"x": np.repeat(c["x"], 3, 1), "image": c["image"]}
            for c in clips(n, frames=256)
        )
        tfrecord.write(tmp_path, split, rooms)
    task = build(tiny_forecasting.config(tmp_path, batch_size=2))
    assert (task.source.num_frames, task.source.origin) == (256, "upper")
    batch = task.batch(0, slice(None))
    assert batch["frames"].shape == (2, task.train_length, 8, 8, 3)
    assert batch["states"].shape == (2, task.train_length, 6)
    assert task.source.decode(batch)["images"].shape == batch["frames"].shape


def test_without_states(tmp_path):
    """`x` is missing, or says something else than one state per frame."""
    for name, x in (("none", {}), ("whole", {"x": np.zeros((1, 2))})):
        folder = tmp_path / name
        images = (clip["image"] for clip in clips(1))
        tfrecord.write(folder, "train", ({"image": image} | x for image in images))
        source = RecordsSource(folder)
        batch = source.read("train", np.array([0]), np.array([0]), 4)
        assert list(batch) == ["frames"] and "states" not in source.decode(batch)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("mass_spring_dt_0_05", "lower"),
        ("pendulum_colors_dt_0_05", "lower"),
        ("matching_pennies_dt_0_1", "upper"),
    ],
)
def test_published_folders(name, origin):
    source = RecordsSource(GOLDEN / "tfrecord" / name)
    assert (source.num_frames, source.image_shape) == (8, (32, 32, 3))
    assert [source.size(s) for s in ("train", "valid", "test")] == [1, 1, 1]
    assert source.origin == origin
    batch = source.read("test", np.array([0]), np.array([0]), 8)
    expected = np.load(GOLDEN / "tfrecord" / "expected.npz")
    start = f"{name.split('_dt_')[0]}:test:0:loaded32:"
    np.testing.assert_array_equal(batch["states"][0], expected[start + "x"])
    # The original multiplies by a rounded 1/255.
    np.testing.assert_allclose(
        source.decode(batch)["images"][0], expected[start + "image"], rtol=2e-7
    )


def test_a_simulated_dataset_written_and_read_back(tmp_path):
    simulated = data.open_source(
        name="pendulum_colors", cache_dir=str(tmp_path / "cache"), **SIZES
    )
    n = simulated.size("train")
    batch = simulated.read("train", np.arange(n), np.zeros(n, int), 16)
    images = np.asarray(jax.jit(simulated.decode)(batch)["images"])
    states = np.asarray(simulated.decode(batch)["states"])
    levels = np.rint(255 * images).astype(np.uint8)
    tfrecord.write(
        tmp_path / "written",
        "train",
        (
            {"x": x.astype(np.float64), "image": image}
            for x, image in zip(states, levels, strict=True)
        ),
    )
    source = RecordsSource(tmp_path / "written")
    indices, starts = np.array([4, 0, 3]), np.array([2, 6, 0])
    batch = source.read("train", indices, starts, 10)
    wanted = [slice(start, start + 10) for start in starts]
    for got, all_of in (
        (source.decode(batch)["images"], images),
        (batch["states"], states),
    ):
        cut = np.stack([all_of[i][w] for i, w in zip(indices, wanted, strict=False)])
        np.testing.assert_array_equal(got, cut)


@pytest.fixture(scope="module")
def as_frames(folder, tmp_path_factory):
    """The same trajectories as a frames.npy, which holds a fifth back for testing."""
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    both = [*clips(8), *clips(2, seed=1)]
    np.save(path, np.stack([clip["image"] for clip in both]))
    return path


def test_order_and_windows_are_those_of_any_other_data(folder, as_frames):
    """A task that starts at step k sees what one that has run so far would see."""
    task, other = (build(tiny_forecasting.config(path)) for path in (folder, as_frames))
    for step in (0, 1, 2, 3, 7):
        resumed = build(tiny_forecasting.config(folder)).batch(step, slice(None))
        batch = task.batch(step, slice(None))
        for key, array in batch.items():
            np.testing.assert_array_equal(array, resumed[key])
            rows = np.array([3, 1])
            np.testing.assert_array_equal(array[rows], task.batch(step, rows)[key])
        np.testing.assert_array_equal(
            batch["frames"], other.batch(step, slice(None))["frames"]
        )
    windows = np.arange(5)
    np.testing.assert_array_equal(
        task.eval_batch(windows)["frames"], other.eval_batch(windows)["frames"]
    )


@pytest.mark.slow
def test_training_from_a_folder(folder, tmp_path):
    config = tiny_forecasting.config(folder, **{"eval.every": 2})
    assert presets.from_dict(config.to_dict()).data.path == str(folder)
    task = build(config)
    result = loop.train(config, task, tmp_path / "run", devices=jax.devices()[:1])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.state.params))

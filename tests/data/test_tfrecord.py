"""The files of the published datasets: read, written, and refused when damaged."""

import concurrent.futures

import numpy as np
import pytest

from nwm_jax.data import tfrecord
from nwm_jax.errors import UserError
from tests.helpers import plain_tfrecord as plain
from tests.helpers.golden_files import GOLDEN
from tests.helpers.plain_tfrecord import same

FOLDERS = ["mass_spring_dt_0_05", "pendulum_colors_dt_0_05", "matching_pennies_dt_0_1"]
EXPECTED = np.load(GOLDEN / "tfrecord" / "expected.npz")


def expected(folder, split):
    """The arrays that the original program encoded, a dict per record."""
    start, records = f"{folder.split('_dt_')[0]}:{split}:", {}
    for key in EXPECTED.files:
        if key.startswith(start) and ":loaded" not in key:
            number, name = key.removeprefix(start).split(":")
            records.setdefault(int(number), {})[name] = EXPECTED[key]
    return [records[i] for i in range(len(records))]


def some(i=0, frames=3):
    """A small record."""
    rng = np.random.default_rng(i)
    return {
        "x": rng.normal(size=(frames, 2)),
        "image": rng.integers(0, 256, (frames, 4, 5, 3), np.uint8),
        "other/m": np.array([0.5 + i]),
        "other/color_index": np.array([[i]]),
    }


@pytest.fixture
def folder(tmp_path):
    """Four small records to train on."""
    tfrecord.write(tmp_path, "train", map(some, range(4)))
    return tmp_path


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", FOLDERS)
def test_files_of_the_original_program(name, split):
    folder = GOLDEN / "tfrecord" / name
    records = expected(name, split)
    read = tfrecord.read(folder, split)
    assert len(read) == len(records) == {"train": 2, "test": 1}[split]
    text = (folder / "features.txt").read_text()
    payloads = plain.frames((folder / f"{split}.tfrecord").read_bytes())
    for got, want, payload in zip(read, records, payloads, strict=True):
        same(got, want)
        same(plain.arrays(payload, text), want)
    assert tfrecord.features_text(records[0]) == text


@pytest.mark.parametrize("name", FOLDERS)
def test_files_of_ours_are_read_the_same_by_another_program(name, tmp_path):
    records = expected(name, "train")
    path = tfrecord.write(tmp_path, "train", records)
    assert path == tmp_path / "train.tfrecord"
    text = (tmp_path / "features.txt").read_text()
    assert text == (GOLDEN / "tfrecord" / name / "features.txt").read_text()
    for payload, want in zip(plain.frames(path.read_bytes()), records, strict=True):
        same(plain.arrays(payload, text), want)
    for got, want in zip(tfrecord.read(tmp_path, "train"), records, strict=True):
        same(got, want)


def test_tensorflow_reads_the_same(folder):
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.TFRecordDataset(str(folder / "train.tfrecord"))
    for i, payload in enumerate(dataset.as_numpy_iterator()):
        features = tf.train.Example.FromString(payload).features.feature
        x = np.array(features["x"].int64_list.value, np.int64).view(np.float64)
        np.testing.assert_array_equal(x, some(i)["x"].ravel())
        image = tf.io.decode_png(features["image"].bytes_list.value[0]).numpy()
        np.testing.assert_array_equal(image.reshape(3, 4, 5, 3), some(i)["image"])


def test_the_checksum_is_the_published_one():
    assert plain.crc32c(b"123456789") == 0xE3069283
    path = GOLDEN / "tfrecord" / "mass_spring_dt_0_05" / "train.tfrecord"
    head = path.read_bytes()[:12]
    assert head == bytes.fromhex("fb0b000000000000e97215b3")
    assert plain.masked(head[:8]) == head[8:]


def test_random_access_equals_streaming(folder):
    records = tfrecord.read(folder, "train")
    streamed = list(records)
    assert len(records) == len(streamed) == 4
    for i in (2, 0, 3, 1, -1):
        same(records[i], streamed[i])
        same(records[i], some(i % 4))
    for some_of in (slice(1, 3), slice(None, None, -2), slice(4, None)):
        for got, want in zip(records[some_of], streamed[some_of], strict=True):
            same(got, want)
    with pytest.raises(IndexError):
        records[4]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for i, record in enumerate(pool.map(records.__getitem__, [3, 1, 0, 2] * 5)):
            same(record, streamed[[3, 1, 0, 2][i % 4]])


def test_the_first_records_can_be_left_out(folder):
    records = tfrecord.read(folder, "train", start=3)
    assert len(records) == len(list(records)) == 1
    same(records[0], some(3))
    assert len(tfrecord.read(folder, "train", start=9)) == 0
    with pytest.raises(UserError, match="start is -1"):
        tfrecord.read(folder, "train", start=-1)


def test_the_same_arrays_give_the_same_bytes():
    record = some()
    backwards = dict(reversed(record.items()))
    strided = {name: np.asarray(array, order="F") for name, array in record.items()}
    assert tfrecord.encode(record) == tfrecord.encode(backwards)
    assert tfrecord.encode(record) == tfrecord.encode(strided)


def test_kinds_of_arrays(tmp_path):
    record = {
        "half": np.array([[1.5, np.nan], [-0.0, np.inf]], np.float32),
        "whole": np.array([-(2**63), -1, 0, 127, 128, 2**63 - 1]),
        "small": np.array([-7, 7], np.int32),
        "number": np.array(0.1),
        "grey": np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1),
        "alpha/grey": np.arange(24, dtype=np.uint8).reshape(3, 4, 2),
        "picture": np.arange(48, dtype=np.uint8).reshape(3, 4, 4),
    }
    tfrecord.write(tmp_path, "test", [record])
    assert tfrecord.features(tmp_path)["half"] == ((2, 2), np.float32)
    assert "small, (2,), int64\n" in (tmp_path / "features.txt").read_text()
    same(
        tfrecord.read(tmp_path, "test")[0],
        record | {"small": record["small"].astype(np.int64)},
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 5, 3), bool), "has dtype bool"),
        (np.zeros(2, np.uint8), "bytes must be images"),
        (np.zeros((2, 2, 2, 5), np.uint8), "with 1 to 4 channels"),
        (np.zeros(3, np.float32), "odd number of float32"),
        (np.zeros((0, 2)), "is empty"),
        (np.broadcast_to(0.0, (2**27,)), "1073741824 bytes"),
    ],
)
def test_what_cannot_be_written(array, message):
    with pytest.raises(UserError, match=message):
        tfrecord.encode({"a": array})


@pytest.mark.parametrize("name", ["", "a, b", "a/b/c", "a\nb", "/"])
def test_names_that_cannot_be_written(name):
    with pytest.raises(UserError, match="is no name"):
        tfrecord.features_text({name: np.zeros(2)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "records of no arrays"),
        ("x (2, 2) float64\n", "line 1: .* is not 'name, shape, dtype'"),
        ("x, (2,), float64\n\nx, (3,), float64\n", "line 3: x comes a second time"),
        ("x, (2, -2), float64\n", "is not 'name, shape, dtype'"),
        ("x, (2, 2), float16\n", "with a dtype of float32, float64, uint8, int64"),
        ("x, (2, 0), float64\n", "is empty"),
        ("image, (512, 3072), uint8\n", "bytes must be images"),
        ("x, (99999999, 9999999999), float64\n", "there may be 536870912"),
        ("a, (4,), uint8", "bytes must be images"),
        ("é, (4,), uint8".encode("latin-1"), "cannot be read"),
    ],
)
def test_features_that_are_wrong(text, message, tmp_path):
    path = tmp_path / "features.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as caught:
        tfrecord.features(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_features_as_others_write_them(tmp_path):
    text = "a, (), float64\nb c, (1,), <class 'numpy.int64'>\r\nd, (2,3), int64"
    (tmp_path / "features.txt").write_text(text)
    assert tfrecord.features(tmp_path) == {
        "a": ((), np.float64),
        "b c": ((1,), np.int64),
        "d": ((2, 3), np.int64),
    }


def test_a_folder_or_a_split_that_is_missing(folder):
    with pytest.raises(UserError, match="is no folder of a dataset"):
        tfrecord.read(folder / "absent", "train")
    with pytest.raises(UserError, match=r"test.tfrecord cannot .* it: train.tfrecord"):
        tfrecord.read(folder, "test")
    (folder / "features.txt").unlink()
    with pytest.raises(UserError, match=r"is a folder without features.txt"):
        tfrecord.read(folder, "train")


def test_writing_does_not_overwrite_unless_told(folder):
    before = (folder / "train.tfrecord").read_bytes()
    with pytest.raises(UserError, match=r"exists: .* overwrite=True"):
        tfrecord.write(folder, "train", [some(7)])
    assert (folder / "train.tfrecord").read_bytes() == before
    longer = some(7, frames=9)
    tfrecord.write(folder, "train", [longer], overwrite=True)
    same(tfrecord.read(folder, "train")[0], longer)


def test_splits_of_a_folder_are_alike(folder):
    tfrecord.write(folder, "test", [some(9)])
    same(tfrecord.read(folder, "test")[0], some(9))
    with pytest.raises(UserError, match=r"test.tfrecord relies on it"):
        tfrecord.write(folder, "train", [some(0, frames=9)], overwrite=True)
    assert len(tfrecord.read(folder, "train")) == 4


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield some()
        raise RuntimeError("the simulation broke")

    for records, message in (
        (broken(), "the simulation broke"),
        ([some(), some(1, frames=4)], "record 1 has other names, shapes or dtypes"),
        ([], "there are no records"),
        ([{}], "no arrays"),
    ):
        with pytest.raises((RuntimeError, UserError), match=message):
            tfrecord.write(tmp_path / "new", "train", records)
        assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        tfrecord.write(tmp_path / "file", "train", [some()])

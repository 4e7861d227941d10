"""Any bytes are read as what was written, or refused with the error that is promised."""

import re

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwm_jax.data import example, features, png, tfrecord
from nwm_jax.errors import UserError
from tests.helpers import plain_tfrecord as plain
from tests.helpers.plain_tfrecord import same

few = settings(max_examples=40, deadline=None)
many = settings(max_examples=150, deadline=None)

RECORDS = [
    {
        "x": np.array([[0.1, -2.0], [np.pi, 0.0]]) + i,
        "image": np.arange(2 * 3 * 2 * 3, dtype=np.uint8).reshape(2, 3, 2, 3) + i,
        "other/k": np.array([i]),
    }
    for i in range(3)
]
TEXT = tfrecord.features_text(RECORDS[0])
FRAMES = [tfrecord.encode(record) for record in RECORDS]
STARTS = np.cumsum([0] + [len(frame) for frame in FRAMES])
FILE = b"".join(FRAMES)
PAYLOAD = next(plain.frames(FILE))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("bytes") / "train.tfrecord"


@pytest.fixture(scope="module")
def read(path):
    """Reads a file of these bytes from front to back: the records, and the error."""
    described = features.parse(TEXT, path)

    def read(data, start=0):
        path.write_bytes(data)
        records = []
        try:
            # One by one, to see what came before the error.
            for record in tfrecord.Records(path, described, start):
                records += [record]
        except UserError as error:
            assert "\n" not in str(error)
            result = re.search(
                r"train.tfrecord, record (\d+) at byte (\d+): ", str(error)
            )
            return records, tuple(map(int, result.groups()))
        return records, None

    return read


def like_records(record):
    """Whether arrays are of the kinds that features.txt promises."""
    assert record.keys() == RECORDS[0].keys()
    for name, array in RECORDS[0].items():
        assert record[name].shape == array.shape and record[name].dtype == array.dtype


@st.composite
def kinds(draw):
    dtype = np.dtype(draw(st.sampled_from(["float64", "int64", "uint8", "float32"])))
    if dtype == np.uint8:
        shape = draw(st.tuples(*[st.integers(1, 4)] * draw(st.integers(3, 4))))
    else:
        shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, max_side=4))
        shape = (*shape, 2) if dtype == np.float32 else shape
    bits = draw(
        st.binary(
            min_size=(size := int(np.prod(shape)) * dtype.itemsize), max_size=size
        )
    )
    return np.frombuffer(bits, dtype).reshape(shape)


@few
@given(
    st.dictionaries(
        st.from_regex(r"[^\W_]{1,3}(/[^\W_]{1,3})?", fullmatch=True),
        kinds(),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read(path, record):
    text = tfrecord.features_text(record)
    path.write_bytes(2 * tfrecord.encode(record))
    for got in tfrecord.Records(path, features.parse(text, path)):
        same(got, record)
    for payload in plain.frames(path.read_bytes()):
        same(plain.arrays(payload, text), record)


@many
@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(read, place, flip):
    data = bytearray(FILE)
    data[place] ^= flip
    number = int(np.searchsorted(STARTS, place, side="right")) - 1
    records, error = read(bytes(data))
    assert error == (number, STARTS[number])
    for got, want in zip(records, RECORDS[:number], strict=True):
        same(got, want)


@pytest.mark.parametrize("start", [0, 1])
def test_a_file_that_ends_too_early(read, start):
    """Wherever: only an end between two records looks like a whole file."""
    for end in range(0, len(FILE), 2 + start * 12):
        whole = int(np.searchsorted(STARTS, end, side="right")) - 1
        records, error = read(FILE[:end], start)
        assert error == (None if end in STARTS else (whole, STARTS[whole]))
        for got, want in zip(records, RECORDS[start:whole], strict=True):
            same(got, want)


@many
@given(st.binary(max_size=60))
def test_any_file(read, data):
    records, error = read(data)
    assert records == [] and (error == (0, 0) or not data)


def mutations(data):
    """`data` with a piece of it replaced, doubled or cut out."""
    places = st.integers(0, len(data))
    return st.builds(
        lambda a, b, new: data[: min(a, b)] + new + data[max(a, b) :],
        places,
        places | st.just(0),
        st.binary(max_size=4),
    ) | st.builds(
        lambda a, new: data[:a] + new + data[a + len(new) :],
        places,
        st.binary(min_size=1, max_size=3),
    )


@many
@given(st.binary(max_size=60) | mutations(PAYLOAD))
def test_any_payload(read, payload):
    """Behind right checksums: the arrays that were promised, or an error."""
    records, error = read(FRAMES[0] + plain.frame(payload))
    same(records[0], RECORDS[0])
    if len(records) == 2:
        like_records(records[1])
        assert error is None
    else:
        assert error == (1, len(FRAMES[0]))


IMAGES = [RECORDS[0]["image"].reshape(6, 2, 3), np.zeros((6, 2, 3), np.uint8)]
PNGS = [png.encode(image) for image in IMAGES]


@many
@given(st.sampled_from(PNGS).flatmap(mutations) | st.binary(max_size=40))
def test_any_png(data):
    try:
        image = png.decode(data, (6, 2, 3))
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert image.shape == (6, 2, 3) and image.dtype == np.uint8


@few
@given(
    arrays.arrays(
        np.uint8, st.tuples(*[st.integers(1, 5)] * 3).filter(lambda s: s[2] < 5)
    )
)
def test_png_of_any_image(image):
    data = png.encode(image)
    np.testing.assert_array_equal(png.decode(data, image.shape), image)
    np.testing.assert_array_equal(plain.png(data), image)


EDGES = [2**k + d for k in range(0, 63, 7) for d in (-1, 0)] + [2**63 - 1, -(2**63)]


@few
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.sampled_from(EDGES)))
def test_any_integers(numbers):
    array = np.array(numbers, np.int64)
    payload = example.pack({"n": array})
    assert payload == plain.example(n=plain.int64_list(numbers)) or not numbers
    for packed in (True, False):
        other = plain.example(n=plain.int64_list(numbers, packed))
        np.testing.assert_array_equal(example.unpack(other)["n"], array)


@few
@given(
    st.text(max_size=40) | mutations(TEXT.encode()).map(lambda b: b.decode("latin-1"))
)
def test_any_features(path, text):
    try:
        described = features.parse(text, path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert described
        for feature in described.values():
            assert np.prod(feature.shape) > 0

"""Records that others have written: all that the format allows, and nothing else."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from nwm_jax.data import tfrecord
from nwm_jax.errors import UserError
from tests.helpers import plain_tfrecord as plain
from tests.helpers.plain_tfrecord import same

FEATURES = "n, (3,), int64\nf, (2,), float64\nimage, (1, 2, 2, 3), uint8\n"
NUMBERS = [-1, 0, 300]
FLOATS = np.array([0.5, -2.0])
BITS = FLOATS.view(np.int64).tolist()


def picture(shape=(2, 2, 3), **options):
    file = io.BytesIO()
    Image.fromarray(np.full(shape, 7, np.uint8)).save(file, "PNG", **options)
    return file.getvalue()


def image(data):
    return plain.field(1, plain.field(1, data))


PARTS = {
    "n": plain.int64_list(NUMBERS),
    "f": plain.int64_list(BITS),
    "image": image(picture()),
}


def reading(folder, payload, features=FEATURES):
    (folder / "features.txt").write_text(features)
    (folder / "train.tfrecord").write_bytes(
        plain.frame(plain.example(**PARTS)) + plain.frame(payload)
    )
    return tfrecord.read(folder, "train")


def unknown():
    group = plain.field(9, b"", wire=3) + plain.field(1, 5) + plain.field(9, b"", 4)
    return plain.field(7, b"abc") + plain.field(6, b"12345678", 1) + group


@pytest.mark.parametrize(
    "payload",
    [
        plain.example(**dict(reversed(PARTS.items()))),
        plain.example(extra=plain.int64_list([1]), **PARTS),
        plain.example(**PARTS | {"n": plain.int64_list(NUMBERS, packed=False)}),
        plain.example(**PARTS | {"f": plain.int64_list(BITS, packed=False)}),
        # Half packed, half not.
        plain.example(
            **PARTS
            | {
                "n": plain.field(
                    3,
                    plain.field(1, plain.varint(-1))
                    + plain.field(1, 0)
                    + plain.field(1, plain.varint(300)),
                )
            }
        ),
        # Numbers in more bytes than they need.
        plain.example(
            **PARTS
            | {
                "n": plain.field(
                    3, plain.field(1, plain.varint(-1) + b"\x80\0" + b"\xac\x82\x80\0")
                )
            }
        ),
        # Real floats, packed and not.
        plain.example(
            **PARTS | {"f": plain.field(2, plain.field(1, struct.pack("<2f", 0.5, -2)))}
        ),
        plain.example(
            **PARTS
            | {
                "f": plain.field(
                    2,
                    plain.field(1, struct.pack("<f", 0.5), 5)
                    + plain.field(1, struct.pack("<f", -2), 5),
                )
            }
        ),
        # The last of several counts.
        plain.example(n=plain.int64_list([1])) + plain.example(**PARTS),
        plain.example(
            **PARTS
            | {"n": plain.field(1, plain.field(1, b"a")) + plain.int64_list(NUMBERS)}
        ),
        unknown() + plain.example(**PARTS) + unknown(),
        plain.example(**{k: unknown() + v + unknown() for k, v in PARTS.items()}),
        plain.example(**PARTS | {"image": image(picture(compress_level=0))}),
        plain.example(**PARTS | {"image": image(picture(dpi=(9, 9)))}),
    ],
)
def test_what_others_write(payload, tmp_path):
    same(
        reading(tmp_path, payload)[1],
        {
            "n": np.array(NUMBERS),
            "f": FLOATS,
            "image": np.full((1, 2, 2, 3), 7, np.uint8),
        },
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": None}, "n is missing"),
        ({"n": b""}, "n is not stored as numbers of int64"),
        ({"n": image(b"123")}, "n is not stored as numbers of int64"),
        ({"n": plain.field(2, plain.field(1, bytes(12)))}, "n is not stored as"),
        ({"n": plain.int64_list([1, 2])}, r"n has 2 numbers, not those of \(3,\)"),
        ({"f": plain.int64_list([1] * 99)}, r"f has 99 numbers, not those of \(2,\)"),
        ({"image": plain.int64_list([1])}, "image is not one PNG"),
        ({"image": plain.field(1, b"")}, "image is not one PNG"),
        ({"image": image(picture()) * 2}, "image is not one PNG"),
        ({"image": image(b"")}, "image: the PNG cannot be decoded"),
        ({"image": image(b"GIF89a" + bytes(99))}, "the PNG cannot be decoded"),
        ({"image": image(picture()[:-30])}, "the PNG cannot be decoded"),
        ({"image": image(picture((3, 2, 3)))}, "has 3 rows of 2 pixels, RGB, not 2 of"),
        ({"image": image(picture((2, 2, 4)))}, "2 pixels, RGBA, not 2 of 2, RGB"),
        ({"image": image(picture((2, 2)))}, "2 rows of 2 pixels, L, not"),
    ],
)
def test_content_that_is_not_what_features_say(change, message, tmp_path):
    parts = {k: v for k, v in (PARTS | change).items() if v is not None}
    records = reading(tmp_path, plain.example(**parts))
    offset = len(plain.frame(plain.example(**PARTS)))
    with pytest.raises(UserError, match=message) as caught:
        list(records)
    assert f"train.tfrecord, record 1 at byte {offset}: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(records) == 2
    with pytest.raises(UserError, match=message):
        records[1]


def test_images_that_would_fill_the_memory(tmp_path):
    """12 MB of pixels in 50 kB, behind their own header and behind a smaller one's."""
    bomb = tfrecord.png.encode(np.zeros((2000, 2000, 3), np.uint8))
    hidden = picture()[:33] + bomb[33:]
    tracemalloc.start()
    with pytest.raises(UserError, match="has 2000 rows of 2000 pixels"):
        reading(tmp_path, plain.example(**PARTS | {"image": image(bomb)}))[1]
    # Data after the last row are nobody's, says libpng too.
    record = reading(tmp_path, plain.example(**PARTS | {"image": image(hidden)}))[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not record["image"].any() and record["image"].shape == (1, 2, 2, 3)
    assert peak < 2e6


def test_a_length_beyond_reason(tmp_path):
    """A record of 1 GB, on a disk that does not store the holes of files."""
    (tmp_path / "features.txt").write_text("x, (2, 2), float64\n")
    length = struct.pack("<Q", 2**30)
    with open(tmp_path / "test.tfrecord", "wb") as file:
        file.write(length + plain.masked(length))
        file.truncate(2**30 + 16)
    with pytest.raises(UserError, match="1073741824 bytes, far more than its arrays"):
        len(tfrecord.read(tmp_path, "test"))

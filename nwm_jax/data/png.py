"""Stacks of 8-bit images as PNG: one tall picture per trajectory.

Pillow reads every PNG; it is not used to write. Rendered frames compress better and
three times faster without the row filters that it always tries, and rows that were
stored without a filter need only be inflated.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_LEVEL = 3  # of zlib: a tenth larger than level 6 in half of its time

#: Numbers of channels that a PNG can hold: grey or red-green-blue, alpha or none.
CHANNELS = tuple(_COLOR_TYPES)


def encode(image: np.ndarray) -> bytes:
    """Compresses an image; the same image gives the same bytes.

    Args:
      image: uint8 `[H, W, C]`, C in `CHANNELS`.

    Returns:
      The PNG file, its rows unfiltered.
    """
    height, width, channels = image.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    body = zlib.compress(rows.data, _LEVEL)
    return _header(image.shape) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def decode(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads an image whose shape is known, taking memory for no other.

    Args:
      data: a PNG file.
      shape: (H, W, C).

    Returns:
      uint8 `[H, W, C]`.

    Raises:
      ValueError: no PNG, a damaged one, or an image of another shape.
    """
    if (rows := _unfiltered_rows(data, shape)) is not None:
        return rows[:, 1:].reshape(shape)
    height, width, channels = shape
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size == (width, height) and image.mode == _MODES[channels]:
                return np.array(image).reshape(shape)
            result = f"{image.height} rows of {image.width} pixels, {image.mode}"
    except Exception as error:  # noqa: BLE001 (Pillow has no common class for it)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"the PNG cannot be decoded ({reason})") from None
    raise ValueError(
        f"the PNG has {result}, not {height} of {width}, {_MODES[channels]}"
    )


def _unfiltered_rows(data: bytes, shape: tuple[int, int, int]) -> np.ndarray | None:
    """The rows, each behind its filter's number 0; None if that is not how they are."""
    header = _header(shape)
    if not data.startswith(header):
        return None
    height, width, channels = shape
    parts, at = [], len(header)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            parts.append(data[at + 8 : at + 8 + size])
        at += 12 + size
    inflater, compressed = zlib.decompressobj(), b"".join(parts)
    try:
        first = inflater.decompress(compressed, 1)
        if first != b"\0":
            return None
        expected = height * (1 + width * channels)
        rest = inflater.decompress(inflater.unconsumed_tail, expected)
    except zlib.error:
        return None
    if not inflater.eof or len(rest) != expected - 1:
        return None
    rows = np.frombuffer(first + rest, np.uint8).reshape(height, -1)
    return None if rows[:, 0].any() else rows


def _header(shape: tuple[int, ...]) -> bytes:
    height, width, channels = shape
    fields = (width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return (
        struct.pack(">I", len(content))
        + checked
        + struct.pack(">I", zlib.crc32(checked))
    )

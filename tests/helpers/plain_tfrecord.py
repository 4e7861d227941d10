"""TFRecords read and written the slow way: byte by byte, with nothing of nwm_jax.

A second opinion on the format for the tests: checksums bit by bit, protocol buffers and
PNG by hand.
"""

import io
import struct
import zlib

import numpy as np


def crc32c(data):
    """CRC-32C, then masked as TFRecords have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def frame(payload):
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def frames(data):
    """Payloads of a file whose checksums are right."""
    stream = io.BytesIO(data)
    while head := stream.read(8):
        assert stream.read(4) == masked(head)
        payload = stream.read(int.from_bytes(head, "little"))
        assert stream.read(4) == masked(payload)
        yield payload


def varint(number):
    """An integer as a varint: 7 bits a byte, negative ones modulo 2**64."""
    number %= 2**64
    groups = [number & 127]
    while number := number >> 7:
        groups.append(number & 127)
    return bytes(group | 128 for group in groups[:-1]) + bytes(groups[-1:])


def field(number, content, wire=2):
    """A field: an int becomes a varint, bytes have their length written before."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    length = varint(len(content)) if wire == 2 else b""
    return varint(number << 3 | wire) + length + content


def example(**features):
    """An Example of serialised features, in the order in which they are given."""
    entries = (field(1, key.encode()) + field(2, v) for key, v in features.items())
    return field(1, b"".join(field(1, entry) for entry in entries))


def int64_list(numbers, packed=True):
    if packed:
        return field(3, field(1, b"".join(map(varint, numbers))))
    return field(3, b"".join(field(1, number) for number in numbers))


def fields(stream):
    """(number, content) of each field of a message without groups."""
    while tag := _varint(stream):
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            yield number, _varint(stream)
        else:
            yield number, stream.read({1: 8, 5: 4}.get(wire) or _varint(stream))


def _varint(stream):
    number = shift = 0
    while byte := stream.read(1):
        number |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return number
        shift += 7
    assert shift == 0
    return None


def only(message, number=1):
    return [content for n, content in fields(io.BytesIO(message)) if n == number]


def arrays(payload, features):
    """The arrays of a record, `features` being the text of features.txt."""
    stored = {}
    for entry in only(only(payload)[0]):
        (key,), (feature,) = only(entry, 1), only(entry, 2)
        ((kind, values),) = fields(io.BytesIO(feature))
        stored[key.decode()] = kind, only(values)
    result = {}
    for line in features.splitlines():
        name, rest = line.split(", ", 1)
        shape, dtype = rest.rsplit(", ", 1)
        shape = tuple(int(n) for n in shape.strip("()").split(",") if n.strip())
        kind, values = stored[name]
        if dtype == "uint8":
            assert kind == 1
            result[name] = png(values[0]).reshape(shape)
        else:
            assert kind == 3 and len(values) == 1
            stream, numbers = io.BytesIO(values[0]), []
            while (number := _varint(stream)) is not None:
                numbers.append(number)
            data = b"".join(struct.pack("<Q", number) for number in numbers)
            result[name] = np.frombuffer(data, dtype).reshape(shape)
    return result


def png(data):
    """The image of an 8-bit PNG without interlacing, uint8 [H, W, C]."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(
            kind + content
        )
        chunks.append((kind, content))
        at += 12 + size
    assert chunks[-1] == (b"IEND", b"")
    width, height, depth, color, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, rest) == (8, [0, 0, 0])
    n = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    stream = io.BytesIO(zlib.decompress(b"".join(c for k, c in chunks if k == b"IDAT")))
    above, rows = bytes(width * n), []
    for _ in range(height):
        kind, row = stream.read(1)[0], bytearray(stream.read(width * n))
        for i in range(len(row)):
            a, b = row[i - n] if i >= n else 0, above[i]
            c = above[i - n] if i >= n else 0
            nearest = min((a, b, c), key=lambda v: abs(a + b - c - v))
            row[i] = (row[i] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        rows.append(above := bytes(row))
    assert not stream.read()
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, n)


def same(got, want):
    """Asserts that two records are the same to the last bit."""
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        assert got[name].tobytes() == np.ascontiguousarray(array).tobytes(), name

"""The files of the Hamiltonian Dynamics Suite: features.txt and TFRecords.

A dataset is a folder with `features.txt`, one line `name, shape, dtype` per array of a
trajectory, and `train.tfrecord` and `test.tfrecord` (either may be missing). A TFRecord
file is a sequence of

    uint64 length, uint32 crc(length), payload, uint32 crc(payload)

little-endian, crc the masked CRC-32C; each payload is a `tf.train.Example` (`example`).
float64 arrays are stored as the int64 numbers with the same bits, float32 ones two to
an int64, images `[T, H, W, C]` of bytes as one PNG `[T * H, W, C]`.
"""

import contextlib
import functools
import math
import os
import pathlib
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import overload

import google_crc32c
import numpy as np

from nwm_jax import files
from nwm_jax.data import example, png
from nwm_jax.data.features import (
    Feature,
    describe,
    features,
    features_text,
    num_bytes,
    parse,
)
from nwm_jax.data.folder import expand
from nwm_jax.errors import UserError
from nwm_jax.files import write_atomic

__all__ = [
    "Feature",
    "Records",
    "encode",
    "features",
    "features_text",
    "read",
    "whole_records",
    "write",
]

_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")  # around the payload


def encode(record: Mapping[str, np.ndarray]) -> bytes:
    """Serialises one trajectory; the same arrays give the same bytes.

    Args:
      record: arrays by name, at most one slash in each: float64, int64, int32 (read
        back as int64), float32 (of an even number of elements), or images: uint8
        `[T, H, W, C]` or `[H, W, C]`, C from 1 to 4.

    Returns:
      The record as it stands in the file, lengths and checksums included.

    Raises:
      UserError: an array of another kind.
    """
    packed: dict[str, bytes | np.ndarray] = {}
    for name, (shape, dtype) in describe(record).items():
        array = np.ascontiguousarray(record[name], dtype)
        if dtype == np.uint8:
            packed[name] = png.encode(array.reshape(_stacked(shape)))
        else:
            packed[name] = array.reshape(-1).view(np.int64)
    payload = example.pack(packed)
    length = struct.pack("<Q", len(payload))
    return b"".join((length, _checksum(length), payload, _checksum(payload)))


def read(folder: str | os.PathLike, split: str, start: int = 0) -> "Records":
    """Opens the records of a split.

    Args:
      folder: the folder of a dataset.
      split: "train" or "test".
      start: how many records to leave out; the next one is then number 0.

    Returns:
      Dicts of arrays, by the names of `features.txt`: iterate over them to read the
      file once from front to back, or take one by its number, several by a slice.

    Raises:
      UserError: the folder or the split is missing. Reading raises it, naming file,
        record (counted from 0 in the file) and byte, for whatever is damaged.
    """
    folder = expand(folder)
    return Records(folder / f"{split}.tfrecord", features(folder), start)


class Records:
    """The records of one file; see `read`. Threads may share it.

    Args:
      path: the file.
      described: all arrays of a record, as `features` returns them.
      start: how many records to leave out.
      names: the arrays to read; all of them if empty.
    """

    def __init__(
        self,
        path: pathlib.Path,
        described: Mapping[str, Feature],
        start: int = 0,
        names: Sequence[str] = (),
    ):
        if start < 0:
            raise UserError(f"start is {start}: it must be at least 0")
        self._path, self._start = path, start
        self._wanted = {name: described[name] for name in names or described}
        # Numbers take 10 bytes for 8 at most, images hardly more than their pixels;
        # there may be arrays in the file that nobody described.
        self._longest = 2**24 + 4 * num_bytes(described)
        try:
            if path.exists():
                files.check_file(path)
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            there = ", ".join(sorted(p.name for p in path.parent.glob("*.tfrecord")))
            raise UserError(
                f"{path} cannot be opened ({error.strerror}); files of records beside "
                f"it: {there or 'none'}"
            ) from None
        weakref.finalize(self, os.close, self._file)
        self._size = os.fstat(self._file).st_size

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return map(self._decode, self._scan())

    @overload
    def __getitem__(self, index: int) -> dict[str, np.ndarray]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, np.ndarray]]: ...

    def __getitem__(self, index):
        places = self._index[index]
        if isinstance(index, slice):
            return [self._decode(place) for place in places]
        return self._decode(places)

    @functools.cached_property
    def _index(self) -> list[tuple[int, int, int]]:
        return list(self._scan())

    def _scan(self) -> Iterator[tuple[int, int, int]]:
        """Number, first byte and payload's length of each record, from the headers."""
        number = offset = 0
        while offset < self._size:
            head = self._bytes(number, offset, 0, _HEAD.size)
            if len(head) < _HEAD.size:
                raise self._error(number, offset, "the file ends within its header")
            length, _ = _HEAD.unpack(head)
            if head[8:] != _checksum(head[:8]):
                raise self._error(number, offset, "its length has a wrong checksum")
            end = offset + _HEAD.size + length + _FOOT.size
            if end > self._size:
                missing = f"{end - self._size} bytes before its end"
                raise self._error(number, offset, f"the file ends {missing}")
            if length > self._longest:
                raise self._error(
                    number,
                    offset,
                    f"it has {length} bytes, far more than its arrays need",
                )
            if number >= self._start:
                yield number, offset, length
            number, offset = number + 1, end

    def _decode(self, place: tuple[int, int, int]) -> dict[str, np.ndarray]:
        number, offset, length = place
        data = self._bytes(number, offset, _HEAD.size, length + _FOOT.size)
        payload = data[:length]
        if data[length:] != _checksum(payload):
            raise self._error(number, offset, "its content has a wrong checksum")
        try:
            features = example.unpack(payload)
            return {
                name: _restore(name, features.get(name), *feature)
                for name, feature in self._wanted.items()
            }
        except ValueError as error:
            raise self._error(number, offset, str(error)) from None

    def _bytes(self, number: int, offset: int, skip: int, count: int) -> bytes:
        """`count` bytes of a record, or what the file has of them, after its first."""
        try:
            return os.pread(self._file, count, offset + skip)
        except OSError as error:
            reason = f"it cannot be read ({error.strerror})"
            raise self._error(number, offset, reason) from None

    def _error(self, number: int, offset: int, reason: str) -> UserError:
        return UserError(
            f"{self._path}, record {number} at byte {offset}: {reason}; get or generate "
            "the file again, with its features.txt"
        )


def whole_records(path: str | os.PathLike) -> tuple[int, int]:
    """Counts the records at the beginning of a file that were written completely.

    Args:
      path: a file that may end anywhere.

    Returns:
      How many there are before the first that is torn or has a wrong checksum, and the
      byte at which the last of them ends.
    """
    count = end = 0
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, _ = _HEAD.unpack(head)
            if head[8:] != _checksum(head[:8]) or length > size - end:
                break
            payload = file.read(length)
            if file.read(_FOOT.size) != _checksum(payload):
                break
            count, end = count + 1, file.tell()
    return count, end


def write(
    folder: str | os.PathLike,
    split: str,
    records: Iterable[Mapping[str, np.ndarray]],
    *,
    overwrite: bool = False,
) -> pathlib.Path:
    """Writes a split, and `features.txt` beside it; atomically.

    Args:
      folder: the folder of the dataset, made if it is missing.
      split: "train" or "test".
      records: at least one; arrays by name as for `encode`, of the same shapes.
      overwrite: replaces the split where it exists.

    Returns:
      The file.

    Raises:
      UserError: the file exists, cannot be written, or the records differ from each
        other or from those of the folder's other split.
    """
    folder = expand(folder)
    path = folder / f"{split}.tfrecord"
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: name another folder, or say overwrite=True")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                text = _write_all(file.write, records)
                file.flush()
                os.fsync(file.fileno())
            _settle_features(folder, split, text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror or error})") from error
    return path


def _write_all(
    append: Callable[[bytes], object], records: Iterable[Mapping[str, np.ndarray]]
) -> str:
    """Appends all records; the text that describes each of them."""
    text = None
    for number, record in enumerate(records):
        described = features_text(record)
        if described != (text := text or described):
            raise UserError(
                f"record {number} has other names, shapes or dtypes than record 0: all "
                "trajectories of a dataset must be alike"
            )
        append(encode(record))
    if text is None:
        raise UserError("there are no records to write: at least one is needed")
    return text


def _settle_features(folder: pathlib.Path, split: str, text: str) -> None:
    """Writes `features.txt`, unless another split relies on what it says."""
    path = folder / "features.txt"
    others = [p.name for p in folder.glob("*.tfrecord") if p.stem != split]
    if path.exists() and others:
        if features(folder) != parse(text, path):
            raise UserError(
                f"{path} describes other arrays than those of the new {split} split, "
                f"and {others[0]} relies on it: write into another folder"
            )
        return
    write_atomic(path, text)


def _stacked(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Shape of the picture that holds all frames, one below the other."""
    return math.prod(shape[:-2]), shape[-2], shape[-1]


def _restore(
    name: str, values: list | np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """An array from what the record holds under its name."""
    if values is None:
        raise ValueError(f"{name} is missing")
    if dtype == np.uint8:
        if not isinstance(values, list) or len(values) != 1:
            raise ValueError(f"{name} is not one PNG")
        try:
            return png.decode(values[0], _stacked(shape)).reshape(shape)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    floating = np.issubdtype(dtype, np.floating)
    if isinstance(values, list) or (values.dtype == np.float32 and not floating):
        raise ValueError(f"{name} is not stored as numbers of {dtype}")
    # Floats are in a list of their own, or disguised as int64: the same bits.
    values = values.astype(dtype) if values.dtype == np.float32 else values.view(dtype)
    if values.size != math.prod(shape):
        raise ValueError(f"{name} has {values.size} numbers, not those of {shape}")
    return values.reshape(shape)


def _checksum(data: bytes) -> bytes:
    """The masked CRC-32C, as it is stored."""
    crc = google_crc32c.value(data)
    return _FOOT.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

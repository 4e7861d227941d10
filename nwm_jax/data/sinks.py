"""Files that grow record by record and survive being interrupted at any moment.

A sink keeps a split in `<name>.partial` until it is whole, then renames it. Opened
again, it counts the records that were written completely, cuts off the rest, and goes
on from there.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

import numpy as np

from nwm_jax.data import growing, tfrecord

Record = Mapping[str, np.ndarray]
PARTIAL = ".partial"


class Sink(Protocol):
    """One split on its way to the disk.

    Attributes:
      with_images: whether records hold images.
      count: how many records there are.
    """

    with_images: bool
    count: int

    def __init__(self, folder: pathlib.Path, split: str, total: int, record: Record):
        """Opens what there is of a split.

        Args:
          folder: where it goes.
          split: "train" or "test".
          total: how many records there will be.
          record: any of them.
        """
        ...

    @staticmethod
    def names(split: str, record: Record) -> list[str]:
        """The files that a split ends up in."""
        ...

    @staticmethod
    def encode(record: Record) -> Sequence[bytes]:
        """What of a record goes into each file, in the order of `names`."""
        ...

    def append(self, encoded: Sequence[bytes]) -> None:
        """Writes the next record."""
        ...

    def finish(self) -> None:
        """Returns the files their names, after the last record."""
        ...

    def close(self) -> None:
        """Stops, finished or not."""
        ...


class RecordSink:
    """`<split>.tfrecord` of the published layout."""

    with_images = True

    def __init__(self, folder: pathlib.Path, split: str, total: int, record: Record):
        (name,) = self.names(split, record)
        self._part = _Part(folder / name)
        self.count = total
        if not self._part.whole:
            self.count, end = tfrecord.whole_records(self._part.partial)
            self._part.cut(end)

    @staticmethod
    def names(split: str, record: Record) -> list[str]:
        """See `Sink.names`."""
        del record
        return [f"{split}.tfrecord"]

    @staticmethod
    def encode(record: Record) -> Sequence[bytes]:
        """See `Sink.encode`."""
        return (tfrecord.encode(record),)

    def append(self, encoded: Sequence[bytes]) -> None:
        """See `Sink.append`."""
        self._part.write(encoded[0])
        self.count += 1

    def finish(self) -> None:
        """See `Sink.finish`."""
        self._part.finish()

    def close(self) -> None:
        """See `Sink.close`."""
        self._part.close()


class ArraySink:
    """One `<name>-<split>.npy` `[N, ...]` per array, to be memory-mapped; no images."""

    with_images = False

    def __init__(self, folder: pathlib.Path, split: str, total: int, record: Record):
        arrays = {key: np.asarray(record[key]) for key in _array_keys(record)}
        self._parts = {
            key: _Part(folder / name)
            for key, name in zip(arrays, self.names(split, record), strict=True)
        }
        self.count = total
        headers = {}
        for key, part in self._unfinished():
            shape, dtype = (total, *arrays[key].shape), arrays[key].dtype
            headers[key] = header = growing.header(shape, dtype)
            if part.size < len(header):
                part.cut(0)
                part.write(header)
            rows = (part.size - len(header)) // arrays[key].nbytes
            self.count = min(self.count, rows)
        if self.count < total:
            # One has vanished: the others, which had their names, wait for it.
            for key, part in self._parts.items():
                if part.whole:
                    part.reopen()
                    headers[key] = growing.header(
                        (total, *arrays[key].shape), arrays[key].dtype
                    )
        # A record's arrays go to the disk one after the other: some are ahead.
        for key, part in self._unfinished():
            part.cut(len(headers[key]) + self.count * arrays[key].nbytes)

    @staticmethod
    def names(split: str, record: Record) -> list[str]:
        """See `Sink.names`."""
        return [f"{key.split('/')[-1]}-{split}.npy" for key in _array_keys(record)]

    @staticmethod
    def encode(record: Record) -> Sequence[bytes]:
        """See `Sink.encode`."""
        return [np.asarray(record[key]).tobytes() for key in _array_keys(record)]

    def append(self, encoded: Sequence[bytes]) -> None:
        """See `Sink.append`."""
        for part, data in zip(self._parts.values(), encoded, strict=True):
            part.write(data)
        self.count += 1

    def finish(self) -> None:
        """See `Sink.finish`."""
        # All are whole before the first gets its name: a name says that all are.
        for part in self._parts.values():
            part.flush()
        for part in self._parts.values():
            part.finish()

    def close(self) -> None:
        """See `Sink.close`."""
        for part in self._parts.values():
            part.close()

    def _unfinished(self):
        return [(key, part) for key, part in self._parts.items() if not part.whole]


class _Part:
    """A file that is called `<name>.partial` until it is whole."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self.partial = path.with_name(path.name + PARTIAL)
        self.whole = path.exists()
        self._opened = None if self.whole else self.partial.open("ab")

    @property
    def _file(self) -> BinaryIO:
        assert self._opened is not None, "a whole file is not written to"
        return self._opened

    @property
    def size(self) -> int:
        return self._file.tell()

    def cut(self, end: int) -> None:
        self._file.truncate(end)
        self._file.seek(0, os.SEEK_END)

    def reopen(self) -> None:
        os.replace(self._path, self.partial)
        self.whole = False
        self._opened = self.partial.open("ab")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def flush(self) -> None:
        if not self.whole:
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        if not self.whole:
            self.flush()
            os.replace(self.partial, self._path)
            self.whole = True

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _array_keys(record: Record) -> list[str]:
    return [key for key in record if key != "image"]

"""Arrays that grow on the disk chunk by chunk, and go on where a kill has stopped them.

Beside the `.npy` files stands a journal: how many chunks are in all of them, and the
size and checksum that each file had then. What follows in a file is of a chunk that was
interrupted, and is cut off.
"""

import contextlib
import io
import logging
import os
import pathlib
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from nwm_jax import folders

_LOGGER = logging.getLogger(__name__)

JOURNAL = "journal.json"
_FIELDS = {"settings": dict, "chunks": int, "files": dict}


class GrowingArrays:
    """The `.npy` files of a folder, of which every chunk adds rows to some.

    Attributes:
      chunks: how many chunks the files hold.
    """

    def __init__(self, folder: pathlib.Path, settings: Mapping[str, Any]):
        """Opens what an interrupted process has left; what is damaged is deleted.

        Args:
          folder: where the files are, with nothing else.
          settings: all that the numbers depend on, as JSON gives it back; files of
            other settings are deleted.
        """
        self._folder, self._settings = folder, settings
        self._files: dict[str, _File] = {}
        self.chunks = 0
        try:
            self._resume()
        except (folders.DamagedError, OSError) as error:
            if (folder / JOURNAL).exists():
                _LOGGER.warning(
                    "the unfinished data cache %s cannot go on (%s): starting anew",
                    folder,
                    error,
                )
            for path in folder.iterdir():
                folders.remove(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()

    def _resume(self) -> None:
        journal = folders.read_manifest(self._folder, _FIELDS, (JOURNAL,))
        if journal["settings"] != self._settings:
            raise folders.DamagedError(f"{JOURNAL} describes other settings")
        for name, entry in journal["files"].items():
            if os.path.basename(name) != name or not _is_entry(entry):
                raise folders.DamagedError(f"{JOURNAL} lists what was never written")
            if (self._folder / name).stat().st_size > entry[0]:
                os.truncate(self._folder / name, entry[0])
        folders.check(self._folder, journal["files"])
        self._files = {
            name: _File(self._folder / name, crc)
            for name, (_, crc) in journal["files"].items()
        }
        self.chunks = journal["chunks"]

    def append(self, rows: Mapping[str, np.ndarray], total: int) -> None:
        """Writes the next chunk.

        Args:
          rows: arrays by file name, `[n, ...]`.
          total: how many rows each of these files will have.
        """
        for name, value in rows.items():
            if name not in self._files:
                self._files[name] = _File(self._folder / name)
                shape = (total, *value.shape[1:])
                self._files[name].write(header(shape, value.dtype))
            self._files[name].write(np.ascontiguousarray(value).data.cast("B"))
        self.chunks += 1
        listed = {name: file.entry() for name, file in self._files.items()}
        content = {"settings": self._settings, "chunks": self.chunks, "files": listed}
        folders.write_manifest(self._folder, content, (JOURNAL,))

    def finish(self) -> dict[str, dict[str, int]]:
        """Deletes the journal, after the last chunk.

        Returns:
          By file name: "bytes", its size, and "crc32", its checksum.
        """
        listed = {name: file.finish() for name, file in self._files.items()}
        folders.remove(self._folder / JOURNAL)
        return listed


def write_array(path: pathlib.Path, array: np.ndarray) -> dict[str, int]:
    """Writes one array as .npy; returns its "bytes" and "crc32"."""
    with contextlib.closing(_File(path)) as file:
        file.write(header(array.shape, array.dtype))
        file.write(np.ascontiguousarray(array).data.cast("B"))
        return file.finish()


def _is_entry(entry: Any) -> bool:
    numbers = isinstance(entry, list) and len(entry) == 2
    return numbers and all(type(n) is int and n >= 0 for n in entry)


class _File:
    """A file to append to, with its checksum.

    Plain writes, not a memory map: on a full disk they raise instead of killing.
    """

    def __init__(self, path: pathlib.Path, crc: int = 0):
        self._file, self._crc = path.open("ab"), crc

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)

    def entry(self) -> list[int]:
        self._file.flush()
        return [self._file.tell(), self._crc]

    def close(self) -> None:
        self._file.close()

    def finish(self) -> dict[str, int]:
        size, crc = self.entry()
        os.fsync(self._file.fileno())
        return {"bytes": size, "crc32": crc}


def header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Returns the beginning of a .npy file, which depends on nothing else."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        },
    )
    return buffer.getvalue()

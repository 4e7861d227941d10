"""Folders that are whole or not there: a lock, a manifest with checksums, one rename.

The data cache, checkpoints and generated datasets are written this way: with the lock
held, into a folder of another name, the manifest last, and renamed when all of it is
there. A reader compares what it finds with the manifest.
"""

import contextlib
import errno
import json
import logging
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import filelock

from nwm_jax import files
from nwm_jax.errors import UserError

_LOGGER = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_LONGEST = 1 << 28  # bytes of a manifest
# What a file system without locks answers: Lustre without the option flock, NFS without
# its lock service, some FUSE file systems.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_SEALED = re.compile(rb'(.*),\n  "crc32": (\d{1,10})\n}\n', re.DOTALL)


class BusyError(Exception):
    """Another process holds the lock."""


class DamagedError(Exception):
    """A folder is not what its manifest says; the message says what differs."""


@contextlib.contextmanager
def locked(path: str | os.PathLike, *, wait: bool) -> Iterator[bool]:
    """Holds a lock between processes, which ends with the process in any case.

    On a file system without locks nothing is locked, a warning is logged, and the work
    goes on: the alternative, a marker file, would outlive a process that is killed and
    stop the run that goes on in its place.

    Args:
      path: the lock file; it is made if it is missing, and a link is not followed.
      wait: whether to wait for another process.

    Yields:
      Whether the lock is held.

    Raises:
      BusyError: another process holds it, and `wait` is false.
      OSError: the lock file cannot be written; ELOOP if it is a link.
    """
    lock = filelock.FileLock(
        path,
        timeout=-1 if wait else 0,
        thread_local=False,
        fallback_to_soft=False,
    )
    held = False
    try:
        lock.acquire()
        held = True
    except filelock.Timeout:
        raise BusyError from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _LOGGER.warning(
            "%s is on a file system without locks (%s): nothing keeps two processes "
            "from writing there at the same time",
            pathlib.Path(path).parent,
            error.strerror,
        )
    try:
        yield held
    finally:
        if held:
            lock.release()


def checksum(path: pathlib.Path) -> list[int]:
    """Returns `[size in bytes, CRC-32]` of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return [size, crc]


def survey(folder: pathlib.Path, but: Collection[str] = ()) -> dict[str, list[int]]:
    """Returns relative name -> `checksum` of every file below a folder.

    Args:
      folder: the folder.
      but: names at its top that are left out.
    """
    return {
        name: checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (name := path.relative_to(folder).as_posix()) not in but
    }


def check(folder: pathlib.Path, listed: Mapping[str, Sequence[int]]) -> None:
    """Compares the files of a folder with what a manifest lists.

    Args:
      folder: the folder; files that are not listed are not looked at.
      listed: relative name -> `checksum`.

    Raises:
      DamagedError: the first file that is missing or differs.
    """
    for name, entry in listed.items():
        path = folder / name
        if not path.is_file():
            raise DamagedError(f"{name} is missing")
        if not isinstance(entry, list) or len(entry) != 2:
            raise DamagedError(f"{name} has no checksum")
        if (size := path.stat().st_size) != entry[0]:
            raise DamagedError(f"{name} has {size} bytes, not {entry[0]}")
        if checksum(path) != entry:
            raise DamagedError(f"{name} has a wrong checksum")


def write_manifest(
    folder: pathlib.Path, content: dict[str, Any], names: Sequence[str] = (MANIFEST,)
) -> None:
    """Writes a manifest that is protected by a checksum of its own, its last field.

    Args:
      folder: where.
      content: what JSON can hold; not empty, without a field "crc32".
      names: what to call it; several are copies of each other.
    """
    body = json.dumps(content, indent=2).removesuffix("\n}")
    crc = zlib.crc32(body.encode())
    for name in names:
        files.write_atomic(folder / name, f'{body},\n  "crc32": {crc}\n}}\n')


def read_manifest(
    folder: pathlib.Path,
    fields: Mapping[str, type],
    names: Sequence[str] = (MANIFEST,),
) -> dict[str, Any]:
    """Reads a manifest, of several copies the first that is sound.

    Every change of a single bit is noticed, and every burst of up to 32 bits.

    Args:
      folder: where it is.
      fields: exactly the fields that it has, with their types.
      names: what it and its copies are called.

    Returns:
      The content. Manifests of older versions, without a checksum, are read too.

    Raises:
      DamagedError: there is none, or none is sound.
    """
    problems = []
    for name in names:
        try:
            return _unseal(files.read_bytes(folder / name, _LONGEST), name, fields)
        except (UserError, DamagedError) as error:
            problems.append(str(error))
    raise DamagedError(problems[0])


def _unseal(data: bytes, name: str, fields: Mapping[str, type]) -> dict[str, Any]:
    sealed = _SEALED.fullmatch(data)
    if sealed and zlib.crc32(sealed[1]) != int(sealed[2]):
        raise DamagedError(f"{name} has a wrong checksum")
    content = files.parse_json(data, name)
    files.check_fields(content, fields, f"{name} is not what was written")
    if sealed:
        del content["crc32"]
    # A damaged seal is one field too many.
    if content.keys() != fields.keys():
        raise DamagedError(f"{name} has other fields than were written")
    return content


def move(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a folder; a target that is there is deleted first."""
    remove(target)
    source.rename(target)


def put(source: pathlib.Path, target: pathlib.Path, aside: pathlib.Path) -> None:
    """Renames a finished folder to its final name.

    Args:
      source: the finished folder, on the same file system.
      target: its final name; what is there already is replaced.
      aside: where that is kept until the new one has taken its place.

    Raises:
      OSError: it cannot be renamed.
    """
    with contextlib.suppress(FileNotFoundError):
        move(target, aside)
    os.replace(source, target)
    remove(aside)


def remove(path: pathlib.Path) -> None:
    """Deletes a folder or a file, as far as it is there and that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def sweep(folder: pathlib.Path, *patterns: str) -> None:
    """Deletes what killed processes left unfinished; for the holder of the lock.

    Args:
      folder: where they worked.
      patterns: of the names, such as "*.saving".
    """
    for pattern in patterns:
        for path in folder.glob(pattern):
            remove(path)

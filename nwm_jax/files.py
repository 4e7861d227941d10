"""Files: atomic writes, and readers that expect anything of what they read.

A reader of a file that is being written sees the old one or the new one, never half of
it. JSON, arrays and sizes are read here and nowhere else: what a file claims is checked
before memory is taken for it, nothing in it is executed, and whatever is wrong with it
is one line.
"""

import contextlib
import glob
import json
import math
import os
import pathlib
import re
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from nwm_jax.errors import UserError, reason

_LEFT_SECONDS = 60.0  # after which nobody is still writing a temporary file
_LONGEST_JSON = 1 << 28  # bytes
_DEEPEST_JSON = 64  # levels
_MOST_DIGITS = 18  # of an integer: what an int64 holds
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def write_atomic(path: str | os.PathLike, content: bytes | str) -> pathlib.Path:
    """Writes `content` to `path` through a temporary file in the same folder.

    Args:
      path: the file to write; its folder is made if it is missing.
      content: bytes, or text that is stored as UTF-8.

    Returns:
      `path` as a `pathlib.Path`.

    Raises:
      OSError: it cannot be written; `filename` is `path`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}."
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sweep(path)
    except BaseException as error:
        if temporary:
            pathlib.Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    return path


def _sweep(path: pathlib.Path) -> None:
    """Deletes what processes that were killed while writing `path` have left."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def write_json(path: str | os.PathLike, value: Any) -> pathlib.Path:
    """Writes `value` as indented JSON, atomically; lists of numbers in one line."""
    text = _NUMBERS.sub(_one_line, json.dumps(value, indent=2))
    return write_atomic(path, text + "\n")


# What JSON's own strings cannot hold: a bracket and a line's end.
_NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")


def _one_line(numbers: re.Match) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"


def check_file(path: str | os.PathLike) -> pathlib.Path:
    """Checks that a path is that of a regular file, without opening it.

    Opening a named pipe would wait for ever, reading a device never end.

    Returns:
      `path` as a `pathlib.Path`.

    Raises:
      UserError: there is nothing, a folder, a pipe or a device, or no right to look.
    """
    try:
        mode = pathlib.Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise UserError(f"{path} cannot be read ({reason(error)})") from None
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise UserError(f"{path} is {name}, and a file is needed")
    return pathlib.Path(path)


def read_bytes(path: str | os.PathLike, most: int = _LONGEST_JSON) -> bytes:
    """Reads a small regular file.

    Args:
      path: the file.
      most: bytes that it may have.

    Raises:
      UserError: no such file, it is larger, or it cannot be read.
    """
    path = check_file(path)
    try:
        # No more than there is: a read reserves all that it is asked for.
        size = min(path.stat().st_size, most) + 1
        with path.open("rb") as file:
            data = file.read(size)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason(error)})") from None
    if len(data) > most:
        raise UserError(f"{path} is too large ({path.stat().st_size:,} bytes)")
    return data


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file.

    Raises:
      UserError: the file is missing, cannot be read or is not JSON; see `parse_json`.
    """
    return parse_json(read_bytes(path), path)


def parse_json(data: bytes | str, where: object) -> Any:
    """Reads JSON that may hold anything.

    Args:
      data: the text, as UTF-8 if it is bytes.
      where: what it is, for messages.

    Returns:
      The value: at most 64 levels deep, integers of at most 18 digits.

    Raises:
      UserError: it is not JSON, or deeper, or has longer integers.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        value = json.loads(text, parse_int=_parse_int)
    except RecursionError:
        raise UserError(f"{where} is not readable JSON (nested too deeply)") from None
    except UnicodeDecodeError:
        raise UserError(f"{where} is not readable JSON (it is not UTF-8)") from None
    except ValueError as error:
        raise UserError(f"{where} is not readable JSON ({reason(error)})") from None
    level = [value]
    for _ in range(_DEEPEST_JSON + 1):
        level = [
            item
            for part in level
            if isinstance(part, (dict, list))
            for item in (part.values() if isinstance(part, dict) else part)
        ]
    if level:
        raise UserError(f"{where} is not readable JSON (nested too deeply)")
    return value


def _parse_int(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def check_fields(
    value: Any, fields: Mapping[str, type | tuple[type, ...]], what: str
) -> dict[str, Any]:
    """Checks that what was read is an object with these fields.

    Args:
      value: what JSON or the like has held.
      fields: the fields that it must have, with their types. A bool is no int, an int
        is a float.
      what: how the message begins, such as "run/eval.json is not that of a run".

    Returns:
      `value`.

    Raises:
      UserError: it is no object, or a field is missing or of another type.
    """
    if not isinstance(value, dict):
        raise UserError(f"{what} (it is no object)")
    for field, kind in fields.items():
        if field not in value:
            raise UserError(f"{what} (it has no {field})")
        kinds = kind if isinstance(kind, tuple) else (kind,)
        kinds += (int,) if float in kinds else ()
        item = value[field]
        if not isinstance(item, kinds) or (
            isinstance(item, bool) and bool not in kinds
        ):
            raise UserError(f"{what} ({field} has a wrong type)")
    return value


def machine_memory() -> float:
    """Returns the bytes of memory that this machine has; inf where it does not say.

    The limit of the control group counts where it is lower, as in a container.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return math.inf
    try:
        limit = int(pathlib.Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # "max": there is none
        return memory
    return min(memory, limit)


def check_memory(
    size: float, what: str, remedy: str = "", memory: float | None = None
) -> None:
    """Refuses what needs more memory than this machine has.

    Args:
      size: bytes that it needs.
      what: what needs them: "num_steps is 900", "frames.npy".
      remedy: what to do about it.
      memory: bytes that there are; None: `machine_memory`.

    Raises:
      UserError: it is more.
    """
    memory = machine_memory() if memory is None else memory
    _check_room(size, what, remedy, "memory", memory)


def check_disk(
    size: float, folder: str | os.PathLike, what: str, remedy: str = ""
) -> None:
    """Refuses what needs more space than the disk of a folder has, full or empty.

    Args:
      size: bytes that it needs.
      folder: where they go; it need not exist yet.
      what: what needs them.
      remedy: what to do about it.

    Raises:
      UserError: it is more.
    """
    for place in (path := pathlib.Path(folder).absolute(), *path.parents):
        with contextlib.suppress(OSError):
            total = shutil.disk_usage(place).total
            return _check_room(size, what, remedy, f"the disk of {folder}", total)


def _check_room(size: float, what: str, remedy: str, place: str, room: float) -> None:
    if size > room:
        size = min(size, 10**300)  # an int can be too large for a float
        raise UserError(
            f"{what}: this needs {size / 1e9:.3g} GB of {place}, and the machine has "
            f"{room / 1e9:.3g} GB" + (f"; {remedy}" if remedy else "")
        )


def open_array(path: str | os.PathLike) -> np.ndarray:
    """Maps the array of a .npy file into memory; nothing in it is executed.

    Args:
      path: the file.

    Returns:
      The read-only array.

    Raises:
      UserError: no such file, an archive, pickled or Python objects, or a header that
        does not fit the file.
    """
    path = check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(b"PK"):
                raise UserError(f"{path} is an archive: name it .npz")
            if start != np.lib.format.MAGIC_PREFIX:
                raise ValueError("it does not begin as a .npy file does")
            _check_header(path.name, path.stat().st_size, file)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged header can raise anything)
        raise UserError(
            f"{path} cannot be read as an array ({reason(error)}): it must be a plain "
            "numeric array, saved with numpy.save"
        ) from None


def read_npz(path: str | os.PathLike, most: float) -> dict[str, np.ndarray]:
    """Reads all arrays of a .npz; nothing in it is executed.

    A small archive can claim to hold any amount. What it says is added up, and every
    array's shape compared with its size, before anything is unpacked.

    Args:
      path: the file.
      most: bytes that the arrays may take together.

    Returns:
      The arrays by name.

    Raises:
      UserError: no such file, they take more, an archive that is damaged or encrypted,
        or pickled objects.
    """
    path = check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > most:
                raise UserError(
                    f"{path} unpacks to {total / 1e9:.3g} GB, and at most "
                    f"{most / 1e9:.3g} GB are read"
                )
            for entry in entries:
                with archive.open(entry) as file:
                    _check_header(entry.filename, entry.file_size, file)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged archive can raise anything)
        raise UserError(
            f"{path} cannot be read as a .npz of arrays ({reason(error)}): save it with "
            "numpy.savez"
        ) from None


def _check_header(name: str, size: int, file: IO[bytes]) -> None:
    """Raises ValueError if an array would not take what its file has."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"{name} is of an unknown version {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name} is pickled or holds objects, which are not read")
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ValueError(f"{name} has an impossible shape")
    if not dtype.itemsize:
        raise ValueError(f"{name} has elements of no size")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"{name} is not as long as its shape {shape} says")

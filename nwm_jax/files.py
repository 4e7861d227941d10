"""Atomic writes: a reader sees the old file or the new one, never half of it."""

import json
import math
import os
import pathlib
import re
import tempfile
import zipfile
from typing import Any

import numpy as np

from nwm_jax.errors import UserError


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
    except BaseException as error:
        if temporary:
            pathlib.Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    return path


def write_json(path: str | os.PathLike, value: Any) -> pathlib.Path:
    """Writes `value` as indented JSON, atomically; lists of numbers in one line."""
    text = _NUMBERS.sub(_one_line, json.dumps(value, indent=2))
    return write_atomic(path, text + "\n")


# What JSON's own strings cannot hold: a bracket and a line's end.
_NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")


def _one_line(numbers: re.Match) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file.

    Raises:
      UserError: the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not readable JSON ({error})") from None


def read_npz(path: str | os.PathLike, most: int) -> dict[str, np.ndarray]:
    """Reads all arrays of a .npz; nothing in it is executed.

    A small archive can claim to hold any amount. What it says is added up, and every
    array's shape compared with its size, before anything is unpacked.

    Args:
      path: the file.
      most: bytes that the arrays may take together.

    Returns:
      The arrays by name.

    Raises:
      UserError: they take more.
      OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error: a damaged file, or
        pickled objects.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > most:
            raise UserError(
                f"{path} unpacks to {total / 1e9:.3g} GB, and at most {most / 1e9:.3g} GB "
                "are read"
            )
        for entry in entries:
            with archive.open(entry) as file:
                _check_header(entry.filename, entry.file_size, file)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _check_header(name: str, size: int, file: Any) -> None:
    """Raises ValueError if an array would not take what its file has."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"{name} is of an unknown version {version}")
    shape, _, dtype = readers[version](file)
    # The bytes of pickled objects tell nothing; reading them is refused later.
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"{name} is not as long as its shape {shape} says")

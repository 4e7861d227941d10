"""Atomic writes: a reader sees the old file or the new one, never half of it."""

import json
import os
import pathlib
import tempfile
from typing import Any

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
    """Writes `value` as indented JSON, atomically."""
    return write_atomic(path, json.dumps(value, indent=2) + "\n")


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

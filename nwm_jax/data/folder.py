"""The folder of a dataset: its path, and what `generate.json` in it says."""

import os
import pathlib
from typing import Any

from nwm_jax.errors import UserError
from nwm_jax.files import read_json

#: What a generated dataset is; the published ones have no such file.
MANIFEST = "generate.json"


def expand(path: str | os.PathLike) -> pathlib.Path:
    """Replaces a leading `~` or `~name` with the home folder.

    Raises:
      UserError: no user has this name.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(
            f"{path}: there is no such home folder; write the whole path"
        ) from None


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    """Reads `generate.json`; {} where there is none, or one of something else.

    Raises:
      UserError: it cannot be read.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    result = read_json(path)
    return result if isinstance(result, dict) else {}

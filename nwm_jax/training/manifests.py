"""The manifest of a checkpoint: what its files must be, and what the host wants back.

`manifest.json` is written last, so it also marks a save that was finished: a folder
without one, or whose files are not those of its manifest, is damaged.
"""

import pathlib
import shutil
import zlib
from typing import Any

from nwm_jax import files
from nwm_jax.errors import UserError

MANIFEST = "manifest.json"


def write(
    folder: pathlib.Path, extra: dict[str, Any], metrics: dict[str, float]
) -> None:
    """Writes the manifest of a folder as it is now.

    Args:
      folder: the checkpoint's folder.
      extra: what the host wants back; anything that JSON can hold.
      metrics: the flat summary of an evaluation of this checkpoint; may be empty.
    """
    manifest = {"extra": extra, "metrics": metrics, "files": survey(folder)}
    files.write_json(folder / MANIFEST, manifest)


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Reads a manifest: `extra`, `metrics` and `files`.

    Raises:
      UserError: there is none, or it is not a manifest.
    """
    manifest = files.read_json(folder / MANIFEST)
    parts = ("extra", "metrics", "files")
    if not isinstance(manifest, dict) or not all(
        isinstance(manifest.get(part), dict) for part in parts
    ):
        raise UserError(f"{folder / MANIFEST} is not a manifest of a checkpoint")
    return manifest


def is_whole(folder: pathlib.Path) -> bool:
    """Tells whether every file of a checkpoint is there and is what was written."""
    try:
        return read(folder)["files"] == survey(folder)
    except (UserError, OSError):
        return False


def survey(folder: pathlib.Path) -> dict[str, list[int]]:
    """Lists the files below a folder, the manifest excepted.

    Returns:
      Relative name -> `[size in bytes, CRC-32]`.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            checksum = 0
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    checksum = zlib.crc32(block, checksum)
            name = path.relative_to(folder).as_posix()
            found[name] = [path.stat().st_size, checksum]
    return found


def move(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a folder; a target that is there is deleted first."""
    if target.exists():
        shutil.rmtree(target)
    source.rename(target)

"""The manifest of a checkpoint: what its files must be, and what the host wants back.

`manifest.json` is written last: a folder without one, or whose files are not those of
its manifest, is damaged.
"""

import pathlib
import shutil
import zlib
from typing import Any

import jax

from nwm_jax import files
from nwm_jax.errors import UserError

MANIFEST = "manifest.json"


def write(
    folder: pathlib.Path,
    items: dict[str, Any],
    extra: dict[str, Any],
    metrics: dict[str, float],
) -> None:
    """Writes the manifest of a folder as it is now.

    Args:
      folder: the checkpoint's folder.
      items: name -> tree of arrays, what was saved.
      extra: what the host wants back; anything that JSON can hold.
      metrics: the flat summary of an evaluation of this checkpoint; may be empty.
    """
    manifest = {
        "extra": extra,
        "metrics": metrics,
        "arrays": {name: describe(tree) for name, tree in items.items()},
        "files": survey(folder),
    }
    files.write_json(folder / MANIFEST, manifest)


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Reads a manifest: `extra`, `metrics`, `arrays` and `files`.

    Raises:
      UserError: there is none, or it is not a manifest.
    """
    manifest = files.read_json(folder / MANIFEST)
    parts = ("extra", "metrics", "arrays", "files")
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


def describe(tree: Any) -> dict[str, str]:
    """Gives the path of every array of a tree and its type, as `float32[5,16]`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        )
        for path, leaf in leaves
    }


def misfit(folder: pathlib.Path, items: dict[str, Any]) -> str:
    """Tells how the arrays of a checkpoint differ from those that are wanted.

    Args:
      folder: the checkpoint's folder.
      items: name -> tree of arrays or of their shapes.

    Returns:
      One line about the first difference; empty if there is none.
    """
    arrays = read(folder)["arrays"]
    for name, tree in items.items():
        saved, wanted = arrays.get(name, {}), describe(tree)
        for path in sorted(saved.keys() | wanted.keys()):
            was, now = saved.get(path, "nothing"), wanted.get(path, "nothing")
            if was != now:
                return f"{path} is {was} there and {now} here"
    return ""


def move(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a folder; a target that is there is deleted first."""
    if target.exists():
        shutil.rmtree(target)
    source.rename(target)


def tidy(checkpoints: pathlib.Path) -> None:
    """Removes what a killed process left: unfinished saves and deletions."""
    for old in checkpoints.glob("*.replaced"):
        # Set aside for one that never took its place: it counts again.
        if not old.with_suffix("").exists():
            old.rename(old.with_suffix(""))
    left = ("*.replaced", "*.saving", "*.deleted", "*.orbax-checkpoint-tmp*")
    for pattern in left:
        for path in checkpoints.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)

"""The manifest of a checkpoint: what its files must be, and what the host wants back.

`manifest.json` and its copy are written last: a folder without one, or whose files are
not those of its manifest, is damaged. As long as one of the two is sound and all arrays
are, a run can go on.
"""

import pathlib
from typing import Any

import jax

from nwm_jax import folders
from nwm_jax.errors import UserError

NAMES = (folders.MANIFEST, "manifest.copy.json")
_FIELDS = {"extra": dict, "metrics": dict, "arrays": dict, "files": dict}


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
        "files": folders.survey(folder, but=NAMES),
    }
    folders.write_manifest(folder, manifest, NAMES)


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Reads a manifest: `extra`, `metrics`, `arrays` and `files`.

    Raises:
      UserError: there is none, or it is not what was written.
    """
    try:
        return folders.read_manifest(folder, _FIELDS, NAMES)
    except folders.DamagedError as error:
        raise UserError(f"{folder} is not a sound checkpoint ({error})") from None


def is_whole(folder: pathlib.Path) -> bool:
    """Returns whether every file of a checkpoint is there and is what was written."""
    try:
        listed = read(folder)["files"]
        folders.check(folder, listed)
    except (UserError, folders.DamagedError, OSError):
        return False
    return bool(listed)


def describe(tree: Any) -> dict[str, str]:
    """Returns the path of every array of a tree and its type, as `float32[5,16]`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        )
        for path, leaf in leaves
    }


def misfit(folder: pathlib.Path, items: dict[str, Any]) -> str:
    """Describes how the arrays of a checkpoint differ from those that are wanted.

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


def tidy(checkpoints: pathlib.Path) -> None:
    """Removes what a killed process left: unfinished saves and deletions."""
    for old in checkpoints.glob("*.replaced"):
        # Set aside for one that never took its place: it counts again.
        if not old.with_suffix("").exists():
            old.rename(old.with_suffix(""))
    folders.sweep(
        checkpoints, "*.replaced", "*.saving", "*.deleted", "*.orbax-checkpoint-tmp*"
    )

"""Files that go with a recording: positions of its channels, masks."""

import os
import pathlib
from typing import Any

import numpy as np

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.waves import recording
from nwm_jax.waves.formats import TIFF, matlab, tiff

_TEXT = (".csv", ".tsv", ".txt")


def read_positions(path: str | os.PathLike) -> np.ndarray:
    """Reads the places of channels: float64 [N, 2], (row, column).

    Args:
      path: a .csv with two columns (a heading is welcome: row and column in any order,
        or x and y, y being the row), a .json list of pairs (alone or as "sites" or
        "positions"), or a .npy [N, 2].

    Raises:
      UserError: no such file, or none of these.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"--positions: {path} does not exist or is not a file")
    content: Any
    try:
        if path.suffix.lower() == ".npy":
            content = files.open_array(path)
        elif path.suffix.lower() == ".json":
            content = files.read_json(path)
            if isinstance(content, dict):
                content = content.get("sites", content.get("positions"))
        elif path.suffix.lower() in _TEXT:
            content = _table(path.read_text())
        else:
            raise UserError(f"--positions: {path.name} is not .csv, .json or .npy")
        pairs = np.asarray(content, float)
    except UserError:
        raise
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise UserError(f"--positions: {path.name} is not readable ({error})") from None
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise UserError(
            f"--positions: {path.name} must hold a row and a column of each channel, "
            f"[channels, 2], and has shape {pairs.shape}"
        )
    return pairs


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Reads a mask: bool [H, W], True where the recording is to be analysed.

    Args:
      path: a .npy, .mat, .tif or .png whose array is not 0 inside.

    Raises:
      UserError: no such file, a format that is not known, or not two axes.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"--mask: {path} does not exist or is not a file")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        mask = recording.load(path)
    elif suffix == ".mat":
        mask = matlab(path, "", axes=2)
    elif suffix in TIFF:
        mask = tiff(path)
    elif suffix == ".png":
        mask = _picture(path)
    else:
        raise UserError(f"--mask: {path.name} is not .npy, .mat, .tif or .png")
    mask = np.squeeze(np.asarray(mask))
    if mask.ndim != 2 or mask.dtype.kind not in "fiub":
        raise UserError(f"--mask: {path.name} must be [height, width]: {mask.shape}")
    return np.nan_to_num(mask) != 0


def _picture(path: pathlib.Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UserError(f"{path.name} is not a readable picture ({error})") from None


def _table(content: str) -> np.ndarray:
    """Numbers of a table with two columns, by the names of its heading."""
    lines = [line for line in content.replace("\t", ",").splitlines() if line.strip()]
    split = "," if "," in lines[0] else None
    rows = [[cell.strip() for cell in line.split(split)] for line in lines]
    names = [cell.lower() for cell in rows[0]]
    for pair in (("row", "column"), ("row", "col"), ("y", "x")):
        if all(name in names for name in pair):
            at = [names.index(name) for name in pair]
            return np.array([[float(row[k]) for k in at] for row in rows[1:]])
    return np.array([[float(cell) for cell in row] for row in rows])

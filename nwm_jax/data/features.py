"""What a record holds: names, shapes and dtypes, as `features.txt` lists them."""

import math
import os
import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nwm_jax import files
from nwm_jax.data import png
from nwm_jax.data.folder import expand
from nwm_jax.errors import UserError

_LINE = re.compile(
    r"(?P<name>.+?), "
    r"\((?P<shape>(?:[0-9]{1,10}(?:, ?[0-9]{1,10})*,?)?)\), "
    r"(?P<dtype>.+)"
)
_NAME = re.compile(r"[^\s,/]+(/[^\s,/]+)?")
_DTYPES = {name: np.dtype(name) for name in ("float32", "float64", "uint8", "int64")}
# The suite's own writer says so for arrays of int32.
_READABLE = _DTYPES | {"<class 'numpy.int64'>": np.dtype("int64")}

#: Of a record, decoded: what a file promises must not exhaust the memory.
MOST_BYTES = 2**29


class Feature(NamedTuple):
    """What one array of a trajectory is.

    Attributes:
      shape: its shape.
      dtype: float32, float64, int64, or uint8 for images.
    """

    shape: tuple[int, ...]
    dtype: np.dtype


def features(folder: str | os.PathLike) -> dict[str, Feature]:
    """Reads `features.txt`.

    Args:
      folder: the folder of a dataset.

    Returns:
      Shape and dtype of each array by name ("x", "image", "other/m").

    Raises:
      UserError: there is no such file, or it describes nothing that can be read.
    """
    folder = expand(folder)
    path = folder / "features.txt"
    if not os.path.isdir(folder):
        raise UserError(f"{folder} is no folder of a dataset")
    if not os.path.lexists(path):
        raise UserError(
            f"{folder} is a folder without features.txt, so not of a dataset: give one "
            "like toy_physics/pendulum, or a frames.npy"
        )
    try:
        text = files.read_bytes(path).decode()
    except UnicodeDecodeError:
        raise UserError(f"{path} cannot be read (it is not UTF-8)") from None
    return parse(text, path)


def features_text(record: Mapping[str, np.ndarray]) -> str:
    """Writes the `features.txt` that describes a record, sorted by name.

    Args:
      record: arrays by name, as for `encode`.

    Raises:
      UserError: see `encode`.
    """
    return "".join(
        f"{name}, {feature.shape}, {feature.dtype}\n"
        for name, feature in sorted(describe(record).items())
    )


def parse(text: str, path: pathlib.Path) -> dict[str, Feature]:
    """Reads the text of a `features.txt`; `path` is for the errors, see `features`."""
    result: dict[str, Feature] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue

        def refuse(reason: str, number: int = number) -> UserError:
            return UserError(f"{path}, line {number}: {reason}")

        match = _LINE.fullmatch(line)
        if match is None or match["dtype"] not in _READABLE:
            raise refuse(
                f"{line[:80]!r} is not 'name, shape, dtype' such as 'x, (512, 2), "
                f"float64' with a dtype of {', '.join(_DTYPES)}"
            )
        name, shape, dtype = match.group("name", "shape", "dtype")
        feature = Feature(
            tuple(map(int, re.findall(r"[0-9]+", shape))), _READABLE[dtype]
        )
        if name in result:
            raise refuse(f"{name} comes a second time")
        if reason := _unfit(feature):
            raise refuse(f"{name} {reason}")
        result[name] = feature
    if reason := _too_little_or_much(result):
        raise UserError(f"{path} describes records of {reason}")
    return result


def describe(record: Mapping[str, np.ndarray]) -> dict[str, Feature]:
    """Shape and stored dtype of what is to be written.

    Args:
      record: arrays by name, as for `tfrecord.encode`.

    Raises:
      UserError: see `tfrecord.encode`.
    """
    described = {}
    for name, array in record.items():
        array = np.asarray(array)
        dtype = np.dtype("int64") if array.dtype == np.int32 else array.dtype
        feature = Feature(array.shape, dtype)
        reason = _unfit(feature)
        if dtype not in _DTYPES.values():
            reason = f"has dtype {dtype}, not one of {', '.join(_DTYPES)}"
        elif dtype == np.float32 and array.size % 2:
            reason = "has an odd number of float32: store float64"
        elif not _NAME.fullmatch(name):
            reason = "is no name: letters, and a single slash at most"
        if reason:
            raise UserError(f"a record cannot be written: {name} {reason}")
        described[name] = feature
    if reason := _too_little_or_much(described):
        raise UserError(f"a record cannot be written: it has {reason}")
    return described


def _unfit(feature: Feature) -> str:
    """Why there can be no such array in a file; empty if there can."""
    shape, dtype = feature
    if 0 in shape:
        return f"has shape {shape}: it is empty"
    if dtype == np.uint8 and (len(shape) not in (3, 4) or shape[-1] > 4):
        return (
            f"has shape {shape}: bytes must be images, (frames, height, width, "
            f"channels) with {png.CHANNELS[0]} to {png.CHANNELS[-1]} channels"
        )
    return ""


def _too_little_or_much(described: Mapping[str, Feature]) -> str:
    """What is wrong with the size of a whole record; empty if nothing is."""
    if not described:
        return "no arrays"
    if (total := num_bytes(described)) > MOST_BYTES:
        return f"{total} bytes: there may be {MOST_BYTES}"
    return ""


def num_bytes(described: Mapping[str, Feature]) -> int:
    """Size of all arrays of a record."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in described.values())

"""MNIST from the standard IDX files: your own, or downloaded once and checked."""

import gzip
import math
import os
import pathlib
import zlib
from collections.abc import Callable

import numpy as np

from nwm_jax import files
from nwm_jax.data.cache import cache_root
from nwm_jax.data.sequences.download import Remote, fetch
from nwm_jax.data.sequences.images import LabelledImages
from nwm_jax.errors import UserError

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "http://yann.lecun.com/exdb/mnist",
)
# Size and SHA-256 of the bytes inside the .gz: mirrors may compress them differently.
FILES = {
    "train-images-idx3-ubyte": (
        47040016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        7840016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


def read(
    path: str | os.PathLike = "",
    cache_dir: str | os.PathLike = "",
    progress: Callable[[int, int], None] | None = None,
) -> LabelledImages:
    """Reads MNIST, or anything else in its files.

    Args:
      path: a folder with the four IDX files, as they are or with ".gz"; empty: the
        folder "mnist" of the cache, where missing files are downloaded to.
      cache_dir: the cache, see `data.cache.cache_root`.
      progress: called as progress(done, total), in bytes, while downloading.

    Returns:
      Images uint8 ``[N, H, W]`` and labels uint8 ``[N]``.

    Raises:
      UserError: a file is missing or damaged, or cannot be downloaded.
    """
    folder = (
        pathlib.Path(path).expanduser() if path else cache_root(cache_dir) / "mnist"
    )
    if path:
        paths = [_find(folder, name) for name in FILES]
    else:
        paths = [fetch(folder / name, _remote(name), progress) for name in FILES]
    arrays = [read_idx(found) for found in paths]
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise UserError(
                f"{folder} holds images {images.shape} and labels {labels.shape}, "
                "expected (N, H, W) and (N,)"
            )
    return LabelledImages(*arrays)


def _remote(name: str) -> Remote:
    size, digest = FILES[name]
    return Remote(tuple(f"{mirror}/{name}.gz" for mirror in MIRRORS), size, digest)


def _find(folder: pathlib.Path, name: str) -> pathlib.Path:
    dotted = name.replace("-idx", ".idx")
    for candidate in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise UserError(
        f"{folder} has no file {name} (or {name}.gz): put the four files of MNIST there, "
        "or leave config.data.path empty to download them"
    )


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Reads an IDX file of bytes, compressed by gzip or not.

    Args:
      path: the file; ".gz" is compressed.

    Returns:
      uint8, of the shape that the file's header states.

    Raises:
      UserError: the file is not IDX, or shorter or longer than its header says.
    """
    path = files.check_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            start = file.read(4)
            # Two zeros, the code of unsigned bytes, the number of axes.
            if len(start) < 4 or start[:3] != b"\0\0\x08" or not 1 <= start[3] <= 4:
                raise UserError(f"{path} is not an IDX file of bytes")
            shape = np.frombuffer(file.read(4 * start[3]), ">u4").tolist()
            size = math.prod(shape)
            files.check_memory(2 * size, f"{path} claims {size} bytes")
            # One more, to see whether there is more; never what a bomb unpacks to.
            data = file.read(size + 1)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged ({error}): get it again") from None
    if len(shape) != start[3] or len(data) != size:
        raise UserError(f"{path} is not as long as its header says: get it again")
    return np.frombuffer(data, np.uint8).reshape(shape)

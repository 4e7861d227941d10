"""CIFAR-10 from its standard archives, binary or Python, packed or unpacked."""

import functools
import os
import pathlib
import tarfile
import zlib
from collections.abc import Callable

import numpy as np

from nwm_jax.data.sequences import pickled
from nwm_jax.data.sequences.images import LabelledImages
from nwm_jax.errors import UserError, reason
from nwm_jax.files import read_bytes

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_PIXELS = 3 * 32 * 32
_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST = "test_batch"
# Names of the five training files and the test, in both archives.
_KINDS = {"binary": ".bin", "python": ""}
_LARGEST = 64 << 20


def read(path: str | os.PathLike) -> LabelledImages:
    """Reads CIFAR-10; nothing in the files is executed.

    Args:
      path: the archive "cifar-10-binary.tar.gz" or "cifar-10-python.tar.gz", the folder
        that one unpacks to, or the folder above it.

    Returns:
      Images uint8 ``[N, 32, 32, 3]`` and labels uint8 ``[N]``; N = 50,000 and 10,000 in
      the published files.

    Raises:
      UserError: nothing there, or a file is missing or damaged.
    """
    if not os.fspath(path):
        raise UserError(
            f"CIFAR-10 is not downloaded by itself: get {SOURCE} and name it with "
            "--config.data.path=..."
        )
    path = pathlib.Path(path).expanduser()
    try:
        files = _from_archive(path) if path.is_file() else _from_folder(path)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        words = "no sound tar" if isinstance(error, tarfile.TarError) else reason(error)
        raise UserError(f"{path} is damaged ({words}): get {SOURCE} again") from None
    for kind, suffix in _KINDS.items():  # noqa: B007
        if f"{_TEST}{suffix}" in files:
            break
    else:
        raise UserError(
            f"{path} has no {_TEST}.bin (binary archive) nor {_TEST} (Python archive) of "
            f"CIFAR-10: get {SOURCE}"
        )
    parse = {"binary": _parse_binary, "python": _parse_python}[kind]

    def get(name: str) -> tuple[np.ndarray, np.ndarray]:
        if f"{name}{suffix}" not in files:
            raise UserError(f"{path} has no {name}{suffix}: get {SOURCE} again")
        labels, pixels = parse(files[f"{name}{suffix}"](), f"{path}: {name}{suffix}")
        images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return images, labels

    train = [get(name) for name in _TRAIN]
    images, labels = map(np.concatenate, zip(*train, strict=False))
    return LabelledImages(images, labels, *get(_TEST))


def _from_folder(folder: pathlib.Path) -> dict[str, Callable[[], bytes]]:
    """The files of a folder and of those in it, by name."""
    below = [result for result in sorted(folder.glob("*")) if result.is_dir()]
    return {
        file.name: functools.partial(read_bytes, file, _LARGEST)
        for where in (*below, folder)
        for file in where.glob("*_batch*")
    }


def _from_archive(path: pathlib.Path) -> dict[str, Callable[[], bytes]]:
    """The batches in an archive, by name; they are read, never unpacked to disk."""
    files: dict[str, Callable[[], bytes]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = pathlib.PurePosixPath(member.name).name
            if member.size > _LARGEST:  # also what is only skipped must be unpacked
                raise UserError(f"{path}: {name} is too large for CIFAR-10")
            if not member.isfile() or "_batch" not in name:
                continue
            file = archive.extractfile(member)
            assert file is not None  # a member that is a file has content
            files[name] = functools.partial(bytes, file.read())
    return files


def _parse_binary(content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label and 3,072 pixels, channel by channel."""
    if not content or len(content) % (1 + _PIXELS):
        raise UserError(f"{where} has {len(content)} bytes, no multiple of 3073")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return _check(records[:, 0], records[:, 1:], where)


def _parse_python(content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict with "data", bytes [N, 3072], and "labels", a list."""
    result = pickled.load(content, where)
    if not isinstance(result, dict):
        raise UserError(f"{where} is not a batch of CIFAR-10")
    data, labels = (
        result.get(key, result.get(key.encode())) for key in ("data", "labels")
    )
    if not (isinstance(data, np.ndarray) and isinstance(labels, list)) or (
        data.shape != (len(labels), _PIXELS)
    ):
        raise UserError(f"{where} has no pixels and labels as CIFAR-10 has them")
    if not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise UserError(f"{where} has labels that are no classes")
    return _check(np.array(labels, np.uint8), data, where)


def _check(
    labels: np.ndarray, pixels: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
    if labels.max(initial=0) > 9:
        raise UserError(f"{where} has class {labels.max()}; CIFAR-10 has 0 to 9")
    return labels, pixels

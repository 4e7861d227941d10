"""Simulated trajectories on disk: computed once, checked, and memory-mapped.

One folder per dataset, named after a hash of its manifest (everything the numbers
depend on), so different settings never meet. A folder is written beside its final
place and renamed when complete: whoever finds it finds all of it.
"""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from nwm_jax.data import suite, trajectories
from nwm_jax.errors import UserError
from nwm_jax.files import write_json

_LOGGER = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

#: Raised whenever stored numbers change for the same settings, in their last digits too
#: (another integrator, other steps): old folders stay unused.
FORMAT = 2


class DamagedError(Exception):
    """A cache folder is not what its manifest says."""


# What opening a damaged folder may raise: the files in it can hold anything.
_UNSOUND = (DamagedError, OSError, ValueError, KeyError, TypeError, AttributeError)


def cache_root(cache_dir: str | os.PathLike = "") -> pathlib.Path:
    """The cache folder: `cache_dir`, else $NWM_JAX_CACHE, else ~/.cache/nwm_jax."""
    chosen = os.fspath(cache_dir) or os.environ.get("NWM_JAX_CACHE", "")
    return pathlib.Path(chosen or "~/.cache/nwm_jax").expanduser()


def open_states(
    spec: suite.Spec,
    *,
    cache_dir: str | os.PathLike = "",
    num_frames: int,
    dt: float,
    seed: int,
    progress: Progress | None = None,
    **sizes: int,
) -> dict[str, dict[str, np.ndarray]]:
    """Opens the simulated trajectories of a dataset, computing them if need be.

    Args:
      spec: the dataset.
      cache_dir: folder of the cache, see `cache_root`.
      num_frames: T, frames per trajectory.
      dt: time between frames.
      seed: seed of the trajectories.
      progress: called as progress(done, total), in trajectories, while computing.
      **sizes: `num_<split>`, the trajectories of every split that is wanted: of
        `trajectories.SPLITS`. Splits that are opened together share a folder.

    Returns:
      For every split the memory-mapped arrays of
      `trajectories.simulate_chunk`, `[N, ...]` each, real numbers as float32.

    Raises:
      UserError: the cache cannot be written.
    """
    settings = {
        "format": FORMAT,
        "spec": _plain(spec),
        **{name: int(size) for name, size in sizes.items()},
        "num_frames": int(num_frames),
        "dt": float(dt),
        "seed": int(seed),
    }
    splits = {name.removeprefix("num_"): int(size) for name, size in sizes.items()}
    return open_folder(
        spec.name,
        settings,
        lambda folder: _write_arrays(folder, spec, settings, splits, progress),
        cache_dir,
        tuple(splits),
    )


def open_folder(
    name: str,
    settings: dict,
    write: Callable[[pathlib.Path], dict[str, dict[str, int]]],
    cache_dir: str | os.PathLike = "",
    splits: Sequence[str] = ("train", "test"),
) -> dict[str, dict[str, np.ndarray]]:
    """Opens arrays that were computed before, or computes them.

    Args:
      name: what the folder's name begins with.
      settings: all that the numbers depend on, as JSON gives it back.
      write: writes `<array>-<split>.npy` into a folder, with `write_array` or piece by
        piece; gives their sizes and checksums by file.
      cache_dir: folder of the cache, see `cache_root`.
      splits: names of the splits, of which each has every array.

    Returns:
      For every split its memory-mapped arrays.

    Raises:
      UserError: the cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    folder = cache_root(cache_dir) / f"{name}-{digest[:16]}"
    if (opened := _open_if_sound(folder, settings, splits)) is not None:
        return opened
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f".{folder.name}.lock")) as alone:
            # Another process may have made it while this one waited for the lock.
            if (opened := _open_if_sound(folder, settings, splits, quiet=True)) is None:
                if alone:
                    _sweep(folder)
                _make(folder, settings, write)
                opened = _open_checked(folder, settings, splits)
            return opened
    except DamagedError as error:
        raise UserError(
            f"the data cache {folder.parent} does not give back what was written "
            f"({error}): use another folder with --config.data.cache_dir=..."
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write the data cache {folder.parent} ({error.strerror or error}): "
            "name a writable folder with --config.data.cache_dir=... or NWM_JAX_CACHE"
        ) from error


def _plain(spec: suite.Spec) -> dict:
    """The spec as JSON gives it back (tuples become lists)."""
    return json.loads(json.dumps(vars(spec)))


def _open_if_sound(
    folder: pathlib.Path, settings: dict, splits: Sequence[str], quiet: bool = False
):
    """The arrays in `folder`; None, with a logged line, if it is absent or damaged."""
    if not folder.exists():
        return None
    try:
        return _open_checked(folder, settings, splits)
    except _UNSOUND as error:
        if not quiet:
            _LOGGER.warning(
                "data cache %s is damaged (%s): making it again", folder, error
            )
        return None


def _open_checked(folder: pathlib.Path, settings: dict, splits: Sequence[str]):
    """Opens every file after comparing its size and checksum with the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest.get("settings") != settings:
        raise DamagedError("manifest.json describes other settings")
    arrays: dict[str, dict[str, np.ndarray]] = {split: {} for split in splits}
    expected = [f"{key}-{split}.npy" for key in manifest["arrays"] for split in splits]
    for name in expected:
        entry, path = manifest["files"].get(name), folder / name
        if entry is None or not path.is_file():
            raise DamagedError(f"{name} is missing")
        if path.stat().st_size != entry["bytes"]:
            raise DamagedError(
                f"{name} has {path.stat().st_size} bytes, not {entry['bytes']}"
            )
        if _crc32(path) != entry["crc32"]:
            raise DamagedError(f"{name} has a wrong checksum")
        key, split = name.removesuffix(".npy").rsplit("-", 1)
        arrays[split][key] = np.load(path, mmap_mode="r", allow_pickle=False)
    return arrays


def _crc32(path: pathlib.Path) -> int:
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[bool]:
    """Holds a lock between processes, and says whether the file system has any.

    Without a lock two processes may compute the same folder; the rename decides.
    """
    with open(path, "a") as file:
        held = False
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
            held = True
        yield held


def _sweep(folder: pathlib.Path) -> None:
    """Removes what killed processes left unfinished; only for who holds the lock."""
    for left_over in folder.parent.glob(f".{folder.name}.tmp-*"):
        shutil.rmtree(left_over, ignore_errors=True)


def _make(
    folder: pathlib.Path,
    settings: dict,
    write: Callable[[pathlib.Path], dict[str, dict[str, int]]],
) -> None:
    """Computes everything in a temporary folder and puts it in place of `folder`."""
    temporary = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.tmp-", dir=folder.parent)
    )
    try:
        temporary.chmod(0o755)
        files = write(temporary)
        keys = list(dict.fromkeys(name.rsplit("-", 1)[0] for name in files))
        write_json(
            temporary / "manifest.json",
            {"settings": settings, "arrays": keys, "files": files},
        )
        if folder.exists():  # found damaged
            old = tempfile.mkdtemp(prefix=f".{folder.name}.tmp-", dir=folder.parent)
            with contextlib.suppress(FileNotFoundError):
                os.replace(folder, pathlib.Path(old) / "damaged")
            shutil.rmtree(old, ignore_errors=True)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.exists():
                raise
            # Someone without our lock was faster; theirs is as good as ours.
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_arrays(
    folder: pathlib.Path,
    spec: suite.Spec,
    settings: dict,
    sizes: dict[str, int],
    progress: Progress | None,
) -> dict[str, dict[str, int]]:
    """Writes `<array>-<split>.npy`, chunk after chunk; their sizes and checksums."""
    chunk_size = trajectories.chunk_size(settings["num_frames"])
    work = [
        (split, chunk)
        for split, size in sizes.items()
        for chunk in range(-(-size // chunk_size))
    ]

    def compute(item: tuple[str, int]) -> dict[str, np.ndarray]:
        split, chunk = item
        arrays = trajectories.simulate_chunk(
            spec,
            split,
            chunk,
            num_frames=settings["num_frames"],
            dt=settings["dt"],
            seed=settings["seed"],
            count=sizes[split] - chunk * chunk_size,
        )
        return {key: _storable(value) for key, value in arrays.items()}

    writers: dict[str, _NpyWriter] = {}
    done, total = 0, sum(sizes.values())
    with contextlib.ExitStack() as stack:
        for (split, _), arrays in zip(work, _in_parallel(compute, work), strict=True):
            for key, value in arrays.items():
                name = f"{key}-{split}.npy"
                if name not in writers:
                    file = stack.enter_context(open(folder / name, "wb"))
                    shape = (sizes[split], *value.shape[1:])
                    writers[name] = _NpyWriter(file, shape, value.dtype)
                writers[name].append(value)
            done += len(arrays["states"])
            if progress is not None:
                progress(done, total)
        return {name: writer.finish() for name, writer in writers.items()}


def write_array(path: pathlib.Path, array: np.ndarray) -> dict[str, int]:
    """Writes one array as .npy; its size in bytes and checksum."""
    with open(path, "wb") as file:
        writer = _NpyWriter(file, array.shape, array.dtype)
        writer.append(np.ascontiguousarray(array))
        return writer.finish()


def _storable(value: np.ndarray) -> np.ndarray:
    single = np.issubdtype(value.dtype, np.floating)
    return np.ascontiguousarray(value, np.float32 if single else None)


def _in_parallel(compute: Callable, work: list) -> Iterator:
    """Results of `compute` in order, a few at a time, on all cores."""
    cores = os.cpu_count() or 1
    yield compute(work[0])  # alone, or every thread would compile the same program
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        pending: list[concurrent.futures.Future] = []
        for item in work[1:]:
            pending.append(pool.submit(compute, item))
            if len(pending) > cores:  # bounds what is held in memory
                yield pending.pop(0).result()
        while pending:
            yield pending.pop(0).result()


class _NpyWriter:
    """Writes one .npy file piece by piece, keeping its checksum.

    Plain writes, not a memory map: on a full disk they raise instead of killing.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype):
        self._file = file
        self._crc = 0
        np.lib.format.write_array_header_1_0(
            self,
            {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": shape,
            },
        )

    def append(self, value: np.ndarray) -> None:
        self.write(value.data.cast("B"))

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)

    def finish(self) -> dict[str, int]:
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._file.tell(), "crc32": self._crc}

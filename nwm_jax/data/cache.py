"""Simulated trajectories on disk: computed once, checked, and memory-mapped.

One folder per dataset, named after a hash of its manifest (everything the numbers
depend on), so different settings never meet. A folder is written beside its final
place and renamed when complete: a reader that finds it finds all of it. The chunks of
trajectories that an interrupted process has written there are kept.
"""

import concurrent.futures
import glob
import hashlib
import json
import logging
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from nwm_jax import files, folders
from nwm_jax.data import growing, suite, trajectories
from nwm_jax.errors import UserError, reason

_LOGGER = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

#: Raised whenever stored numbers change for the same settings, in their last digits too
#: (another integrator, other steps): old folders stay unused.
FORMAT = 2


_MANIFEST = {"settings": dict, "arrays": list, "files": dict}


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
      write: writes `<array>-<split>.npy` into a folder, as `growing` does; returns their
        sizes and checksums by file. What it leaves there with a journal, when it is
        interrupted, the next call finds.
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
        lock = folder.with_name(f".{folder.name}.lock")
        with folders.locked(lock, wait=True) as alone:
            # Another process may have made it while this one waited for the lock.
            if (opened := _open_if_sound(folder, settings, splits, quiet=True)) is None:
                _make(folder, settings, write, alone)
                opened = _open_checked(folder, settings, splits)
            return opened
    except folders.DamagedError as error:
        raise UserError(
            f"the data cache {folder.parent} does not give back what was written "
            f"({error}): use another folder with --config.data.cache_dir=..."
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write the data cache {folder.parent} ({reason(error)}): "
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
    except (folders.DamagedError, UserError, OSError) as error:
        if not quiet:
            _LOGGER.warning(
                "data cache %s is damaged (%s): making it again", folder, error
            )
        return None


def _open_checked(folder: pathlib.Path, settings: dict, splits: Sequence[str]):
    """Opens every file after comparing its size and checksum with the manifest.

    Raises:
      folders.DamagedError, UserError, OSError: it is not what was written.
    """
    manifest = folders.read_manifest(folder, _MANIFEST)
    if manifest["settings"] != settings:
        raise folders.DamagedError("manifest.json describes other settings")
    arrays: dict[str, dict[str, np.ndarray]] = {split: {} for split in splits}
    for key in manifest["arrays"]:
        for split in splits:
            name = f"{key}-{split}.npy"
            entry = manifest["files"].get(name)
            listed = list(entry.values()) if isinstance(entry, dict) else []
            folders.check(folder, {name: listed})
            arrays[split][key] = files.open_array(folder / name)
    return arrays


def _make(
    folder: pathlib.Path,
    settings: dict,
    write: Callable[[pathlib.Path], dict[str, dict[str, int]]],
    alone: bool,
) -> None:
    """Computes everything in another folder and puts it in place of `folder`."""
    if alone:
        folders.sweep(folder.parent, f".{glob.escape(folder.name)}.tmp-*")
        unfinished = folder.with_name(f".{folder.name}.unfinished")
        if not (unfinished / growing.JOURNAL).is_file():
            folders.remove(unfinished)
        unfinished.mkdir(exist_ok=True)
    else:
        # What others may write at the same time cannot be continued.
        prefix = f".{folder.name}.tmp-"
        unfinished = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        written = write(unfinished)
        keys = list(dict.fromkeys(name.rsplit("-", 1)[0] for name in written))
        content = {"settings": settings, "arrays": keys, "files": written}
        folders.write_manifest(unfinished, content)
        try:
            folders.put(unfinished, folder, unfinished.with_suffix(".damaged"))
        except OSError:
            if not folder.exists():
                raise
            # Someone without our lock was faster; theirs is as good as ours.
    finally:
        if not (alone and (unfinished / growing.JOURNAL).exists()):
            folders.remove(unfinished)


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

    total = sum(sizes.values())
    with growing.GrowingArrays(folder, settings) as stored:
        missing = work[stored.chunks :]
        done = total - sum(
            min(chunk_size, sizes[s] - c * chunk_size) for s, c in missing
        )
        if done and progress is not None:
            progress(done, total)
        for (split, _), arrays in zip(
            missing, _in_parallel(compute, missing), strict=True
        ):
            named = {f"{key}-{split}.npy": value for key, value in arrays.items()}
            stored.append(named, sizes[split])
            done += len(arrays["states"])
            if progress is not None:
                progress(done, total)
        return stored.finish()


def _storable(value: np.ndarray) -> np.ndarray:
    single = np.issubdtype(value.dtype, np.floating)
    return np.ascontiguousarray(value, np.float32 if single else None)


def _in_parallel(compute: Callable, work: list) -> Iterator:
    """Results of `compute` in order, a few at a time, on all cores."""
    cores = os.cpu_count() or 1
    for item in work[:1]:  # alone, or every thread would compile the same program
        yield compute(item)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        pending: list[concurrent.futures.Future] = []
        for item in work[1:]:
            pending.append(pool.submit(compute, item))
            if len(pending) > cores:  # bounds what is held in memory
                yield pending.pop(0).result()
        while pending:
            yield pending.pop(0).result()

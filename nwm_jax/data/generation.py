"""Writes a dataset to a folder: as published, or its states alone; resumable.

Beside the data stands `generate.json`, which says what is being written. It is there
before the data; once it says `finished`, all of the data is there. While it says
`emptying`, what an older set has left in the folder is being taken away.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax

from nwm_jax import folders
from nwm_jax._version import __version__
from nwm_jax.data import cache, features, sinks, tfrecord
from nwm_jax.data.folder import MANIFEST, expand, read_manifest
from nwm_jax.data.request import Record, Request, Simulate, records, simulator
from nwm_jax.errors import UserError
from nwm_jax.files import write_atomic, write_json

_FEATURES = "features.txt"
_LOCK = ".lock"
_SINKS: dict[str, type[sinks.Sink]] = {
    "tfrecord": sinks.RecordSink,
    "states": sinks.ArraySink,
}
FORMATS = tuple(_SINKS)

_MEASURED = 16  # records whose mean size, times the margin, is taken for that of all
_MARGIN = 1.1
_AHEAD = 4  # records per core that may wait for being written
_REMEDY = "name another --out, or replace it with --overwrite"

Progress = Callable[[int, int], None]


def generate(
    request: Request,
    folder: str | os.PathLike,
    *,
    format: str = "tfrecord",
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> pathlib.Path:
    """Writes a dataset, going on where an interrupted call for the same has stopped.

    Args:
      request: what to write.
      folder: where, made if it is missing; what `data.path` of a config takes.
      format: "tfrecord": the published layout, features.txt and {train,test}.tfrecord;
        "states": the same arrays without images, each stacked in `<name>-<split>.npy`.
      overwrite: replaces whatever dataset the folder holds; but of this very one it
        goes on with what is unfinished.
      progress: called as progress(done, total), in trajectories, the first time with
        what was there.

    Returns:
      The folder.

    Raises:
      UserError: an impossible request, a folder that holds another dataset or a
        finished one, another process that writes there, or a disk that is too small.
    """
    request.check()
    folder, sink = expand(folder), _SINKS[format]
    if sink.with_images:
        _check_record(request)
    with _made(folder), _alone(folder):
        manifest = _describe(request, format)
        going_on = _goes_on(folder, manifest, overwrite)
        _check_space(request, folder, request.least_bytes, ())
        simulate = simulator(request)
        sample = _sample(request, simulate, sink)
        names = [n for split in request.sizes for n in sink.names(split, sample[0])]
        mean = sum(len(b) for r in sample for b in sink.encode(r)) / len(sample)
        _check_space(request, folder, _MARGIN * mean, names)
        if not going_on:
            _empty(folder, manifest, names)
            write_json(folder / MANIFEST, manifest | {"files": names})
        _write(request, simulate, folder, sink, sample[0], progress)
        if sink.with_images:
            write_atomic(folder / _FEATURES, tfrecord.features_text(sample[0]))
        done = manifest | {"files": names, "finished": True}
        write_json(folder / MANIFEST, done)
    return folder


def _write(
    request: Request,
    simulate: Simulate,
    folder: pathlib.Path,
    sink_class: type[sinks.Sink],
    example: Record,
    progress: Progress,
) -> None:
    """Appends what is missing to every split, and finishes it."""
    sizes = request.sizes
    with contextlib.ExitStack() as stack:
        opened = {}
        for split, size in sizes.items():
            opened[split] = sink_class(folder, split, size, example)
            stack.callback(opened[split].close)
        total = sum(sizes.values())
        progress(sum(sink.count for sink in opened.values()), total)
        for split, sink in opened.items():
            missing = records(
                request,
                simulate,
                split,
                sink.count,
                sizes[split],
                with_images=sink.with_images,
            )
            for encoded in _in_order(sink.encode, missing):
                sink.append(encoded)
                progress(sum(sink.count for sink in opened.values()), total)
            sink.finish()


def _in_order(
    encode: Callable[[Record], Sequence[bytes]], items: Iterable[Record]
) -> Iterator[Sequence[bytes]]:
    """`encode` of each item, on all cores; few wait at a time."""
    cores = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        waiting: collections.deque[concurrent.futures.Future] = collections.deque()
        for item in items:
            waiting.append(pool.submit(encode, item))
            if len(waiting) > _AHEAD * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _describe(request: Request, format: str) -> dict:
    """The manifest of an unfinished dataset, as JSON gives it back."""
    manifest = {
        **dataclasses.asdict(request),
        "format": format,
        "spec": vars(request.spec),
        "nwm_jax": __version__,
        "jax": jax.__version__,
        "data_format": cache.FORMAT,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "finished": False,
    }
    return json.loads(json.dumps(manifest))


def _goes_on(folder: pathlib.Path, manifest: dict, overwrite: bool) -> bool:
    """Whether the folder holds the beginning of this dataset.

    False: it is free, or what it holds is to be replaced.
    """
    if overwrite:
        try:
            return _goes_on(folder, manifest, overwrite=False)
        except UserError:
            return False
    if not (folder / MANIFEST).exists():
        strange = [
            *_held(folder),
            *folder.glob("*-train.npy"),
            *folder.glob("*-test.npy"),
        ]
        if strange:
            raise UserError(
                f"{folder} holds {strange[0].name} without a {MANIFEST}: {_REMEDY}"
            )
        return False
    old = read_manifest(folder)
    differing = [
        field
        for field in manifest
        if field != "finished" and old.get(field) != manifest[field]
    ]
    if differing:
        text = ", ".join(
            f if f == "spec" else f"{f} is {old.get(f)!r}, not {manifest[f]!r}"
            for f in differing
        )
        raise UserError(f"{folder} holds another dataset ({text}): {_REMEDY}")
    if old.get("finished"):
        names = [*old.get("files", []), *([_FEATURES] * (old["format"] == "tfrecord"))]
        if lost := [name for name in names if not (folder / name).exists()]:
            raise UserError(f"{folder} was finished, but {lost[0]} is gone: {_REMEDY}")
        raise UserError(f"{folder} is finished: --overwrite would generate it again")
    return not old.get("emptying")


def _empty(folder: pathlib.Path, manifest: dict, names: Sequence[str]) -> None:
    """Takes away what the folder holds of a dataset, interrupted or not."""
    old = [path for path in _held(folder, names) if path.name != MANIFEST]
    if old:
        # From now on it is no dataset, and the files on this list are to be deleted.
        files = [path.name.removesuffix(sinks.PARTIAL) for path in old]
        now = manifest | {"files": files, "emptying": True}
        write_json(folder / MANIFEST, now)
    for path in old:
        path.unlink()


def _held(folder: pathlib.Path, names: Sequence[str] = ()) -> list[pathlib.Path]:
    """The files of a dataset, of `names` and of partial ones that the folder holds."""
    names = ["train.tfrecord", "test.tfrecord", _FEATURES, *names]
    with contextlib.suppress(UserError, TypeError, KeyError, AttributeError):
        # What a manifest lists is in its own folder, or it is not ours to touch.
        listed = read_manifest(folder)["files"]
        names += [n for n in listed if n.endswith(".npy") and "/" not in n]
    every = [name + end for name in names for end in ("", sinks.PARTIAL)]
    paths = [folder / name for name in dict.fromkeys([*every, MANIFEST])]
    return [path for path in paths if path.is_file()]


def _sample(
    request: Request, simulate: Simulate, sink: type[sinks.Sink]
) -> list[Record]:
    """The first records."""
    split, size = next(iter(request.sizes.items()))
    stop = min(size, _MEASURED)
    return list(
        records(request, simulate, split, 0, stop, with_images=sink.with_images)
    )


def _check_space(
    request: Request, folder: pathlib.Path, size: float, names: Sequence[str]
) -> None:
    """Refuses a disk that cannot hold the dataset, by the bytes of a trajectory."""
    needed = size * sum(request.sizes.values())
    # What is there is either part of it already or makes room for it.
    room = shutil.disk_usage(folder).free
    room += sum(path.stat().st_size for path in _held(folder, names))
    if needed > room:
        raise UserError(
            f"the dataset needs about {_size(needed)} and the disk of {folder} has "
            f"{_size(room)}: choose another --out, or fewer or shorter trajectories"
        )


def _check_record(request: Request) -> None:
    """Refuses what would be too long for a record that can be read."""
    pixels = request.num_frames * math.prod(request.spec.image_shape)
    if request.least_bytes + pixels > features.MOST_BYTES:
        raise UserError(
            f"trajectories of {request.num_frames} frames are longer than a record may "
            f"be ({_size(features.MOST_BYTES)}): lower --num_steps, or leave the images "
            "out with --format=states"
        )


def _size(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"


@contextlib.contextmanager
def _made(folder: pathlib.Path) -> Iterator[None]:
    """Makes the folder; what is still empty after an error goes away again."""
    missing = []
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove(missing)
        raise UserError(
            f"{folder} cannot be made ({error.strerror}): choose another --out"
        ) from None
    try:
        yield
    except BaseException:
        _remove(missing)
        raise


def _remove(folders: Iterable[pathlib.Path]) -> None:
    """Removes folders, as far as they are there and empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes from writing to the folder."""
    lock = folder / _LOCK
    try:
        with folders.locked(lock, wait=False):
            try:
                yield
            finally:
                folders.remove(lock)  # while it is held: who waits opens a new one
    except folders.BusyError:
        raise UserError(
            f"another process is generating into {folder}: wait for it, or name "
            "another --out"
        ) from None

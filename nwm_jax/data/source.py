"""Where a task reads its windows of images from: simulated systems, or a file of your own.

A source reads small host arrays (states, or bytes) and decodes them into images inside
the compiled step, on the device.
"""

import os
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from nwm_jax import files
from nwm_jax.data import cache, render, suite, systems, trajectories
from nwm_jax.data.folder import expand
from nwm_jax.data.simulate import count_substeps
from nwm_jax.data.windows import (
    NUM_VALID,
    Batch,
    Decoded,
    check_length,
    num_held_out,
)
from nwm_jax.errors import UserError

Arrays = Mapping[str, Mapping[str, np.ndarray]]


class Source(Protocol):
    """Trajectories in three splits, "train", "valid" and "test".

    Attributes:
      num_frames: T, frames per trajectory.
      image_shape: (H, W, C).
      origin: where row 0 of an image belongs in a picture: "lower" (the bottom, as
        in a coordinate system) or "upper" (the top, as in a photograph).
    """

    num_frames: int
    image_shape: tuple[int, int, int]
    origin: str

    def size(self, split: str) -> int:
        """Number of trajectories of a split."""
        ...

    def read(
        self, split: str, indices: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        """Reads windows on the host, leaving out what the device can compute.

        Args:
          split: "train", "valid" or "test".
          indices: trajectories, int `[n]`.
          starts: first frames, int `[n]`, in [0, num_frames - length].
          length: frames per window.

        Returns:
          Arrays with leading axis n, for `decode`.

        Raises:
          UserError: `length` is longer than the trajectories.
        """
        ...

    def decode(self, batch: Batch) -> Decoded:
        """Makes of windows what models and metrics take, jittable.

        Args:
          batch: what `read` returned.

        Returns:
          "images" float32 `[n, length, H, W, C]` in {0, ..., 255} / 255, and "states",
          the true physical states (q, p), `[n, length, d]`, where they are known.
        """
        ...


class SimulatedSource:
    """A dataset of the suite: states from the cache, images drawn on the device.

    Args:
      spec: the dataset.
      num_frames: frames per trajectory.
      open_arrays: opens a split and those that are kept with it, as
        `cache.open_states` does. It is called when the first window is read: a trained
        model needs no data.
      check_size: () -> None; raises `UserError` where a split cannot be simulated here.
    """

    def __init__(
        self,
        spec: suite.Spec,
        num_frames: int,
        open_arrays: Callable[[str], Arrays],
        check_size: Callable[[], None] = lambda: None,
    ):
        self.spec = spec
        self.image_shape = spec.image_shape
        self.origin = spec.origin
        self.num_frames = num_frames
        self.check_size = check_size
        self._open_arrays = open_arrays
        self._opened: dict[str, Mapping[str, np.ndarray]] = {}

    def _arrays(self, split: str) -> Mapping[str, np.ndarray]:
        if split not in self._opened:
            for name, held in self._open_arrays(split).items():
                # The others are small, and read on every step: better in memory.
                self._opened[name] = {
                    key: value if key == "states" else np.array(value)
                    for key, value in held.items()
                }
        return self._opened[split]

    def size(self, split: str) -> int:
        """Number of trajectories of a split."""
        return len(self._arrays(split)["states"])

    def read(
        self, split: str, indices: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        """`states` float32 `[n, length, d]`; of particles also `offset`, `radius`, ...

        See `Source.read`.
        """
        indices = np.asarray(indices)
        return {
            key: _cut(value, indices, starts, length)
            if key == "states"
            else value[indices]
            for key, value in self._arrays(split).items()
        }

    def decode(self, batch: Batch) -> Decoded:
        """Draws the images; states are (q, p), or the strategies of two players."""
        images = render.quantise(self.spec.images(batch))
        return {"images": images, "states": batch["states"]}


class FramesSource:
    """Your own movies: a `frames.npy` of bytes `[N, T, H, W, C]`, memory-mapped.

    The last fifth of the N trajectories (rounded down, at least one) is the test split.
    Of the others the last ones are the validation split, see `windows.num_held_out`.

    Args:
      path: the file.
      num_valid: trajectories of the validation split, at most.

    Raises:
      UserError: the file is missing, or not such an array.
    """

    origin = "upper"

    def __init__(self, path: str | os.PathLike, num_valid: int = NUM_VALID):
        frames = open_frames(path)
        if len(frames) < 2 or frames.shape[1] < 2:
            raise UserError(
                f"{path} has shape {list(frames.shape)}: at least two trajectories (one "
                "is kept for testing) of at least two frames are needed"
            )
        end = len(frames) - max(1, len(frames) // 5)
        start = end - num_held_out(end, num_valid)
        self.num_frames = frames.shape[1]
        self.image_shape = frames.shape[2:]
        self._frames = {
            "train": frames[:start],
            "valid": frames[start:end] if start < end else frames[:end],
            "test": frames[end:],
        }

    def size(self, split: str) -> int:
        """Number of trajectories of a split."""
        return len(self._frames[split])

    def read(
        self, split: str, indices: np.ndarray, starts: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        """`frames` uint8 `[n, length, H, W, C]`; see `Source.read`."""
        return {"frames": _cut(self._frames[split], indices, starts, length)}

    def decode(self, batch: Batch) -> Decoded:
        """Brightness of the bytes; states are not known."""
        return {"images": render.from_uint8(batch["frames"])}


def open_source(
    *,
    name: str,
    path: str = "",
    cache_dir: str = "",
    num_train: int,
    num_test: int,
    num_frames: int,
    dt: float,
    seed: int,
    num_valid: int = NUM_VALID,
    progress: cache.Progress | None = None,
) -> Source:
    """Opens the data that a config names.

    Args:
      name: a dataset of the suite, by the suite's name or the configs' (`spring`); not
        looked at if `path` is given.
      path: a folder of TFRecords (see `RecordsSource`), or a `frames.npy` of your own
        (see `FramesSource`); everything that follows comes from there then. Empty: the
        dataset `name` is simulated.
      cache_dir: where simulated states are kept, see `cache.cache_root`.
      num_train: trajectories of the training split, at least 1.
      num_test: trajectories of the test split, at least 1.
      num_frames: frames per trajectory, at least 2.
      dt: time between frames, above 0.
      seed: seed of the simulated trajectories.
      num_valid: trajectories of the validation split, at least 1; of `path` at most a
        tenth of the training split, which they are taken from.
      progress: called as progress(done, total), in trajectories, while simulating.

    Returns:
      The source.

    Raises:
      UserError: no such dataset, an impossible size, an unreadable file, a folder
        without one of the splits, or a cache that cannot be written.
    """
    if path:
        return _open_path(path, num_valid)
    spec = suite.get(name)
    for field, value, least in (
        ("num_train", num_train, 1),
        ("num_valid", num_valid, 1),
        ("num_test", num_test, 1),
        ("num_frames", num_frames, 2),
    ):
        if value < least:
            raise UserError(f"data.{field} is {value}: it must be at least {least}")
    check_dt(spec.system, dt)

    def open_arrays(split: str) -> Arrays:
        # By itself, so that all sizes of the other two share it.
        sizes = (
            {"num_valid": num_valid}
            if split == "valid"
            else {"num_train": num_train, "num_test": num_test}
        )
        return cache.open_states(
            spec,
            cache_dir=cache_dir,
            num_frames=num_frames,
            dt=dt,
            seed=seed,
            progress=progress,
            **sizes,
        )

    def check_size() -> None:
        trajectories.check_chunk(spec, num_frames, f"data.num_frames={num_frames}")
        number = num_train + num_valid + num_test
        files.check_disk(
            number * trajectories.state_bytes(spec, num_frames) // 2,  # as float32
            cache.cache_root(cache_dir),
            f"{number:,} trajectories of {num_frames} frames",
            "lower data.num_train, or name another disk with data.cache_dir",
        )

    return SimulatedSource(spec, num_frames, open_arrays, check_size)


def check_dt(system: str, dt: float) -> None:
    """Checks the time between frames before anything is simulated.

    Args:
      system: name of a system.
      dt: time between frames.

    Raises:
      UserError: not a number above 0, or so long that a frame takes too many steps.
    """
    if not 0 < dt < float("inf"):
        raise UserError(f"data.dt is {dt}: it must be a number above 0")
    count_substeps(dt, systems.get(system).max_step, "data.dt")


def _open_path(path: str, num_valid: int) -> Source:
    place = expand(path)
    try:
        os.stat(place)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.path={path} cannot be opened ({getattr(error, 'strerror', error)}): "
            "it takes a folder with features.txt or a .npy file of frames"
        ) from None
    if place.is_dir():
        from nwm_jax.data.records import RecordsSource  # loads protobuf and Pillow

        source = RecordsSource(place, num_valid)
        for split in ("train", "test"):
            source.size(split)  # an error now, not after the model was compiled
        return source
    if place.suffix == ".tfrecord" or place.name == "features.txt":
        raise UserError(
            f"data.path={path} is a file of a dataset: give its folder, {place.parent}"
        )
    return FramesSource(place, num_valid)


def _cut(
    array: np.ndarray, indices: np.ndarray, starts: np.ndarray, length: int
) -> np.ndarray:
    """Windows `array[indices[k], starts[k] : starts[k] + length]`, stacked."""
    check_length(length, array.shape[1])
    windows = np.empty((len(indices), length, *array.shape[2:]), array.dtype)
    for window, index, start in zip(windows, indices, starts, strict=True):
        window[...] = array[index, start : start + length]
    return windows


def open_frames(path: str | os.PathLike, ranks: tuple[int, ...] = (5,)) -> np.ndarray:
    """Memory-maps a file of images.

    Args:
      path: a .npy file of uint8 images.
      ranks: the numbers of axes that are welcome: 5 for ``[N, T, H, W, C]``, 4 for
        ``[T, H, W, C]``.

    Returns:
      The read-only array.

    Raises:
      UserError: the file is missing, no .npy file, or holds something else.
    """
    path = expand(path)
    axes = ("trajectories", "time", "height", "width", "channels")
    layouts = [f"[{', '.join(axes[5 - rank :])}]" for rank in ranks]
    wanted = f"bytes (uint8) of shape {' or '.join(layouts)}, none of them empty"
    frames = files.open_array(path)
    if frames.dtype != np.uint8:
        raise UserError(
            f"{path} holds {frames.dtype}, not uint8: save brightness in 0..255, "
            "numpy.clip(255 * frames, 0, 255).astype('uint8')"
        )
    if frames.ndim not in ranks or 0 in frames.shape:
        raise UserError(f"{path} has shape {list(frames.shape)}: it must be {wanted}")
    return frames

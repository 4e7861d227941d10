"""What a generated dataset consists of: its settings, and the records they give."""

import concurrent.futures
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from nwm_jax.data import render, suite, trajectories
from nwm_jax.errors import UserError

Record = dict[str, np.ndarray]
Simulate = Callable[[str, int], Record]


@dataclasses.dataclass(frozen=True)
class Request:
    """A dataset that is to be written; every byte of it follows from this.

    Attributes:
      dataset: name of a dataset of the suite.
      num_train: trajectories of the training split, at least 0.
      num_test: trajectories of the test split, at least 0; one split has some.
      num_steps: frames that follow the first of a trajectory, at least 1.
      dt: time between frames, above 0.
      seed: any integer.
    """

    dataset: str
    num_train: int
    num_test: int
    num_steps: int
    dt: float
    seed: int

    @property
    def spec(self) -> suite.Spec:
        """The dataset."""
        return suite.get(self.dataset)

    @property
    def num_frames(self) -> int:
        """T, frames per trajectory."""
        return self.num_steps + 1

    @property
    def sizes(self) -> dict[str, int]:
        """Number of trajectories of each split that has any."""
        sizes = {"train": self.num_train, "test": self.num_test}
        return {split: size for split, size in sizes.items() if size}

    @property
    def least_bytes(self) -> int:
        """Size of "x" and "dx_dt" of a trajectory, which is more than these."""
        return 2 * trajectories.state_bytes(self.spec, self.num_frames)

    def check(self) -> None:
        """Raises UserError where a number is impossible; nothing is simulated."""
        for field, least in (("num_train", 0), ("num_test", 0), ("num_steps", 1)):
            value = getattr(self, field)
            if not least <= value < 2**48:
                raise UserError(
                    f"{field} is {value}: it must be at least {least} and below 2**48"
                )
        if not self.sizes:
            raise UserError("num_train and num_test are both 0: nothing to generate")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}: it must be from 0 to 2**32 - 1")
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise UserError(f"dt is {self.dt}: it must be a number above 0")
        what = f"num_steps is {self.num_steps}"
        trajectories.check_chunk(self.spec, self.num_frames, what)


def simulator(request: Request) -> Simulate:
    """`trajectories.simulate_chunk` of a request; remembers its last result."""
    size = trajectories.chunk_size(request.num_frames)

    @functools.lru_cache(maxsize=1)
    def simulate(split: str, chunk: int) -> Record:
        return trajectories.simulate_chunk(
            request.spec,
            split,
            chunk,
            num_frames=request.num_frames,
            dt=request.dt,
            seed=request.seed,
            count=request.sizes[split] - chunk * size,
        )

    return simulate


def records(
    request: Request,
    simulate: Simulate,
    split: str,
    start: int,
    stop: int,
    *,
    with_images: bool = True,
) -> Iterator[Record]:
    """Trajectories start, ..., stop - 1 of a split as the published records hold them.

    The same trajectory gives the same record to the last bit, whatever `start` is. The
    next chunk is simulated while one is read.

    Args:
      request: the dataset.
      simulate: its `simulator`.
      split: "train" or "test".
      start: the first trajectory.
      stop: the end.
      with_images: whether to draw them.

    Yields:
      "x", "dx_dt", "other/..." of `Spec.records`, and "image" uint8 `[T, H, W, C]`.
    """
    if start >= stop:
        return
    block = render.block_size(request.num_frames)
    size = trajectories.chunk_size(request.num_frames)
    future = None
    with concurrent.futures.ThreadPoolExecutor(1) as ahead:
        for begin in range(start // size * size, stop, size):
            chunk = begin // size
            arrays = future.result() if future else simulate(split, chunk)
            if begin + size < stop:
                future = ahead.submit(simulate, split, chunk + 1)
            first, last = max(start - begin, 0), min(stop - begin, size)
            # Images are drawn in the same blocks wherever one begins.
            aligned = first // block * block
            images: Iterator[np.ndarray | None] = itertools.repeat(None)
            if with_images:
                images = _images(request, arrays, aligned, last)
            for i, image in zip(range(aligned, last), images, strict=False):
                if i >= first:
                    one = {key: value[i] for key, value in arrays.items()}
                    record = request.spec.records(one)
                    yield record if image is None else record | {"image": image}


def _images(
    request: Request, arrays: Record, first: int, last: int
) -> Iterator[np.ndarray]:
    """Bytes of the trajectories first, ..., last - 1 of a chunk, one by one."""
    arrays = {key: value[first:last] for key, value in arrays.items()}
    blocks = render.in_bytes(request.spec.images, arrays, request.num_frames)
    return itertools.chain.from_iterable(blocks)

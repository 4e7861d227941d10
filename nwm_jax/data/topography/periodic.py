"""Sequences that return to their start, and noise: the data of topographic maps.

A source returns host arrays that say what the sequences are ("pixels", "orientation",
...), and draws the sequences from them on the device.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data.sequences import digits, draws, mnist
from nwm_jax.data.topography import gratings, rotation
from nwm_jax.data.windows import train_indices
from nwm_jax.errors import UserError, unknown

NAMES = ("rotating_mnist", "rotating_digits", "sine", "noise")


class Periodic(Protocol):
    """What the task knows of its data.

    Attributes:
      image_shape: (h, w, 1).
      num_test: how many test sequences there are; 0: as many as are asked for.
    """

    image_shape: tuple[int, int, int]
    num_test: int

    def train(
        self, seed: int, step: int, rows: slice | np.ndarray, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Rows `rows` of the batch of a step, a pure function of (seed, step)."""

    def test(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Test sequences `indices`."""

    def sequences(
        self, batch: Mapping[str, jax.Array], num_frames: int, start: float = 0.0
    ) -> jax.Array:
        """Draws ``[n, num_frames, h, w, 1]`` in [0, 1]; jittable.

        Args:
          batch: of `train` or `test`.
          num_frames: T.
          start: degrees (of the turn or of the phase) of frame 0.
        """


class RotatingImages:
    """Digits that turn counter-clockwise by 20 degrees a frame, upright at first.

    Args:
      data: name ("rotating_mnist" or "rotating_digits", which come with scikit-learn),
        path and cache_dir (of MNIST, see `data.sequences.mnist.read`), num_valid
        (images that are set aside, by the split of the original program), seed (of the
        split).
      progress: called as progress(done, total), in bytes, while downloading.

    Raises:
      UserError: files that are missing or damaged, or nothing left to train on.
    """

    def __init__(
        self, data: Any, progress: Callable[[int, int], None] | None = None
    ) -> None:
        if data.name == "rotating_digits":
            pictures = digits.read()
        else:
            pictures = mnist.read(data.path, data.cache_dir, progress)
        chosen, _ = rotation.shuffled_split(
            data.seed, len(pictures.train), data.num_valid
        )
        if not len(chosen):
            raise UserError(
                f"data.num_valid={data.num_valid} leaves none of {len(pictures.train)} "
                "images to train on"
            )
        self.chosen, self.digits = chosen, pictures
        self.image_shape = (*pictures.train.shape[1:], 1)
        self.num_test = len(pictures.test)

    def train(
        self, seed: int, step: int, rows: slice | np.ndarray, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Returns "pixels" uint8 ``[n, h, w]``; every image comes once in an epoch."""
        indices = train_indices(
            seed, step, rows, batch_size=batch_size, size=len(self.chosen)
        )
        return {"pixels": self.digits.train[self.chosen[indices]]}

    def test(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns "pixels" and "labels" of test images, in the order of the file."""
        return {
            "pixels": self.digits.test[indices],
            "labels": self.digits.test_labels[indices],
        }

    def sequences(
        self, batch: Mapping[str, jax.Array], num_frames: int, start: float = 0.0
    ) -> jax.Array:
        """See `Periodic`."""
        pixels = jnp.asarray(batch["pixels"], jnp.float32) / 255.0
        return rotation.rotate(pixels, rotation.turns(num_frames, start))[..., None]


class Gratings:
    """Moving sine gratings of random orientation.

    Args:
      data: size (pixels of a side), wavelength (pixels), random_phase (else the phase
        at frame 0 is 0), seed (of the test set).
    """

    num_test = 0

    def __init__(self, data: Any) -> None:
        self.image_shape = (data.size, data.size, 1)
        self._data = data

    def train(
        self, seed: int, step: int, rows: slice | np.ndarray, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Returns "orientation" and "phase", radians, ``[n]``."""
        drawn = self._draw(draws.generator(seed, draws.GRATING, step), batch_size)
        return {name: values[rows] for name, values in drawn.items()}

    def test(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the same of test sequences."""
        rng = draws.generator(self._data.seed, draws.GRATING_EVAL)
        drawn = self._draw(rng, int(np.max(indices)) + 1)
        return {name: values[indices] for name, values in drawn.items()}

    def _draw(self, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        # By rows, so that the first numbers do not depend on how many there are.
        both = rng.random((count, 2), np.float32)
        both *= np.array([math.pi, 2 * math.pi], np.float32)
        phase = both[:, 1] * self._data.random_phase
        return {"orientation": both[:, 0], "phase": phase}

    def sequences(
        self, batch: Mapping[str, jax.Array], num_frames: int, start: float = 0.0
    ) -> jax.Array:
        """See `Periodic`."""
        return self._render(batch, num_frames, start, True)

    def standing(self, batch: Mapping[str, jax.Array], num_frames: int) -> jax.Array:
        """The same gratings, which do not move."""
        return self._render(batch, num_frames, 0.0, False)

    def _render(
        self,
        batch: Mapping[str, jax.Array],
        num_frames: int,
        start: float,
        moving: bool,
    ) -> jax.Array:
        made = gratings.gratings(
            batch["orientation"],
            batch["phase"] + math.radians(start),
            num_frames,
            size=self.image_shape[0],
            wavelength=self._data.wavelength,
            moving=moving,
        )
        return made[..., None]


class Noise:
    """Frames of independent pixels, the control without structure.

    Args:
      data: size (pixels of a side), seed (of the test set).
    """

    num_test = 0

    def __init__(self, data: Any) -> None:
        self.image_shape = (data.size, data.size, 1)
        self._seed = data.seed

    def train(
        self, seed: int, step: int, rows: slice | np.ndarray, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Returns "seed", uint32 ``[n]``."""
        rng = draws.generator(seed, draws.STATIC, step)
        return {"seed": rng.integers(2**32, size=batch_size, dtype=np.uint32)[rows]}

    def test(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the same of test sequences."""
        rng = draws.generator(self._seed, draws.STATIC_EVAL)
        seeds = rng.integers(2**32, size=int(np.max(indices)) + 1, dtype=np.uint32)
        return {"seed": seeds[indices]}

    def sequences(
        self, batch: Mapping[str, jax.Array], num_frames: int, start: float = 0.0
    ) -> jax.Array:
        """See `Periodic`; noise has no phase."""
        del start
        return gratings.noise(batch["seed"], num_frames, size=self.image_shape[0])[
            ..., None
        ]


def open_periodic(
    data: Any, progress: Callable[[int, int], None] | None = None
) -> Periodic:
    """Opens the data that a config names.

    Args:
      data: the config's `data`.
      progress: called as progress(done, total), in bytes, while downloading.

    Raises:
      UserError: an unknown name, or what the data's class finds wrong.
    """
    if data.name in ("rotating_mnist", "rotating_digits"):
        return RotatingImages(data, progress)
    if data.name == "sine":
        return Gratings(data)
    if data.name == "noise":
        return Noise(data)
    raise unknown("data.name", data.name, NAMES)

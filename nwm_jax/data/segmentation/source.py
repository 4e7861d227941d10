"""Segmentation datasets in three splits, by the fields of a config."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data import cache, growing
from nwm_jax.data.segmentation import multi_mnist, polygons, tetrominoes
from nwm_jax.data.segmentation.enlarge import enlarge
from nwm_jax.data.sequences import images as permutations
from nwm_jax.data.sequences import mnist
from nwm_jax.data.sequences.images import LabelledImages
from nwm_jax.data.windows import Batch
from nwm_jax.errors import UserError, unknown

SPLITS = ("train", "valid", "test")
#: Raised whenever what is stored changes for the same settings.
FORMAT = 1
# Of MNIST's 60,000 training images, in the original's order.
_MNIST_SEED = 42
_MNIST_TRAIN, _MNIST_VALID, _MNIST_TEST = 51_000, 9_000, 10_000

_DIGITS = ("background", *map(str, range(10)))
Progress = Callable[[int, int], None]


class ShapeSource(Protocol):
    """Images and the classes of their pixels: a `data.Source` without frames.

    Attributes:
      image_shape: (H, W, C).
      class_names: names of the classes; the first is the background.
    """

    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]

    def size(self, split: str) -> int:
        """Number of images of a split: "train", "valid" or "test"."""
        ...

    def read(self, split: str, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Some images of a split, as they lie on the host, ``[n, ...]``."""
        ...

    def decode(self, batch: Batch) -> dict[str, jax.Array]:
        """Makes of them what models and metrics take, jittable.

        Args:
          batch: what `read` returned.

        Returns:
          "images" float32 ``[n, H, W, C]`` in [0, 1] and "labels", the classes of their
          pixels, int32 ``[n, H, W]``.
        """
        ...


class StoredShapes:
    """Drawn images in the cache.

    Args:
      image_shape: (H, W, C).
      class_names: names of the classes.
      sizes: images of every split.
      open_arrays: returns "images" and "labels" of every split. It is called when the
        first image is read: a trained model needs no data.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        class_names: tuple[str, ...],
        sizes: Mapping[str, int],
        open_arrays: Callable[[], Mapping[str, Mapping[str, np.ndarray]]],
    ) -> None:
        self.image_shape = image_shape
        self.class_names = class_names
        self._sizes = dict(sizes)
        self._open_arrays = open_arrays

    @functools.cached_property
    def _arrays(self) -> Mapping[str, Mapping[str, np.ndarray]]:
        return self._open_arrays()

    def size(self, split: str) -> int:
        """Number of images of a split."""
        return self._sizes[split]

    def read(self, split: str, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns "images" uint8 ``[n, H, W, C]`` and "labels" uint8 ``[n, H, W]``."""
        return {name: array[indices] for name, array in self._arrays[split].items()}

    def decode(self, batch: Batch) -> dict[str, jax.Array]:
        """Bytes over 255, and the classes as they are stored."""
        return {
            "images": jnp.asarray(batch["images"], jnp.float32) / 255.0,
            "labels": jnp.asarray(batch["labels"], jnp.int32),
        }


class EnlargedDigits:
    """MNIST, enlarged while it is read; what is bright belongs to the digit.

    Args:
      digits: images and digits of every split, uint8 ``[N, 28, 28]`` and ``[N]``.
      zoom: how many times larger, see `data.segmentation.enlarge.enlarge`.
    """

    def __init__(
        self, digits: Mapping[str, tuple[np.ndarray, np.ndarray]], zoom: int
    ) -> None:
        self._digits = digits
        self._zoom = zoom
        height, width = digits["train"][0].shape[1:]
        self.image_shape = (zoom * height, zoom * width, 1)
        self.class_names = _DIGITS

    def size(self, split: str) -> int:
        """Number of images of a split."""
        return len(self._digits[split][1])

    def read(self, split: str, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns "images" float32 ``[n, H, W, 1]`` and "labels" uint8 ``[n, H, W]``."""
        small, classes = (array[indices] for array in self._digits[split])
        images = enlarge(small, self._zoom)
        labels = (images > 0.5) * (classes[:, None, None] + np.uint8(1))
        return {"images": images[..., None], "labels": labels.astype(np.uint8)}

    def decode(self, batch: Batch) -> dict[str, jax.Array]:
        """The grey image; the digit plus one where it is brighter than a half."""
        return {
            "images": jnp.asarray(batch["images"], jnp.float32),
            "labels": jnp.asarray(batch["labels"], jnp.int32),
        }


Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


class Drawn(NamedTuple):
    """A dataset of images that are drawn.

    Attributes:
      channels: of an image.
      names: (a config's `data`) -> names of the classes, the background first.
      draw: (data, sizes, settings, progress) -> images and labels of every split.
      settings: (data) -> arguments of the drawing beside side and seed.
      origin: (data) -> what else the images depend on.
      check: (data) -> None; raises `UserError` for sizes that do not fit.
    """

    channels: int
    names: Callable[[Any], tuple[str, ...]]
    draw: Callable[[Any, dict[str, int], dict[str, Any], Progress | None], Arrays]
    settings: Callable[[Any], dict[str, Any]] = lambda data: {}
    origin: Callable[[Any], dict[str, Any]] = lambda data: {}
    check: Callable[[Any], None] = lambda data: None


def open_source(data: Any, progress: Progress | None = None) -> ShapeSource:
    """Opens a dataset.

    Args:
      data: the config's `data`: name (of `DATASETS`), cache_dir, num_train, num_valid and
        num_test (of MNIST 0: all). Tetrominoes, Multi-MNIST and polygons: side and seed.
        Tetrominoes: cell. Polygons: corners, most, radius and equal_area, see
        `data.segmentation.polygons.draw`. MNIST: zoom. Both MNISTs: digits ("mnist", or
        "sklearn" for the small ones that come with scikit-learn), and path, see `data.sequences.mnist.read`.
      progress: called as progress(done, total) while images are drawn or downloaded.

    Returns:
      The dataset. Images that are drawn are drawn once and kept in the cache.

    Raises:
      UserError: unknown dataset, numbers that do not fit, or files that are missing.
    """
    if data.name == "mnist":
        return _open_mnist(data, progress)
    if data.name not in DRAWN:
        raise unknown("data.name", data.name, DATASETS)
    kind = DRAWN[data.name]
    sizes = {"train": data.num_train, "valid": data.num_valid, "test": data.num_test}
    kind.check(data)
    settings = {"side": data.side, "seed": data.seed, **kind.settings(data)}

    def write(folder: Any) -> dict[str, dict[str, int]]:
        files = {}
        for split, arrays in kind.draw(data, sizes, settings, progress).items():
            for name, array in zip(("images", "labels"), arrays, strict=False):
                file = f"{name}-{split}.npy"
                files[file] = growing.write_array(folder / file, array)
        return files

    manifest = {"format": FORMAT, "dataset": data.name, "sizes": sizes, **settings}
    manifest |= kind.origin(data)
    return StoredShapes(
        (data.side, data.side, kind.channels),
        kind.names(data),
        sizes,
        lambda: cache.open_folder(data.name, manifest, write, data.cache_dir, SPLITS),
    )


def _polygon_names(corners: tuple[int, ...]) -> tuple[str, ...]:
    named = (polygons.NAMES.get(n, f"{n} corners") for n in corners)
    return ("background", *named)


def _read_digits(data: Any, progress: Progress | None) -> LabelledImages:
    if data.digits == "sklearn":
        from nwm_jax.data.sequences import digits  # takes a second

        return digits.read()
    return mnist.read(data.path, data.cache_dir, progress)


def _open_mnist(data: Any, progress: Progress | None) -> EnlargedDigits:
    digits = _read_digits(data, progress)
    order = permutations.permutation(len(digits.train), _MNIST_SEED)
    # Of other files than MNIST's the same parts.
    edge = len(digits.train) * _MNIST_TRAIN // (_MNIST_TRAIN + _MNIST_VALID)
    parts = {
        "train": (digits.train, digits.train_labels, order[:edge]),
        "valid": (digits.train, digits.train_labels, order[edge:]),
        "test": (digits.test, digits.test_labels, np.arange(len(digits.test))),
    }
    kept = {}
    for split, (images, classes, indices) in parts.items():
        wanted = data[f"num_{split}"]
        if wanted > len(indices):
            raise UserError(
                f"data.num_{split}={wanted} is more than the {len(indices)} images "
                f"that there are"
            )
        indices = indices[: wanted or len(indices)]
        kept[split] = images[indices], classes[indices]
    return EnlargedDigits(kept, data.zoom)


def _draw_multi_mnist(
    data: Any,
    sizes: dict[str, int],
    settings: dict[str, Any],
    progress: Progress | None,
) -> Arrays:
    digits = _read_digits(data, progress)
    return multi_mnist.draw(
        digits.train, digits.train_labels, sizes, **settings, progress=progress
    )


#: Datasets whose images are drawn, by name.
DRAWN = {
    "tetrominoes": Drawn(
        channels=3,
        names=lambda data: tetrominoes.NAMES,
        draw=lambda data, sizes, settings, progress: tetrominoes.draw(
            sizes, **settings, progress=progress
        ),
        settings=lambda data: {"cell": data.cell},
        check=lambda data: tetrominoes.check(data.side, data.cell),
    ),
    "multimnist": Drawn(
        channels=1,
        names=lambda data: _DIGITS,
        draw=_draw_multi_mnist,
        # Your own digits may be others.
        origin=lambda data: {"digits": data.digits, "path": data.path},
        check=lambda data: multi_mnist.check(data.side),
    ),
    "polygons": Drawn(
        channels=1,
        names=lambda data: _polygon_names(data.corners),
        draw=lambda data, sizes, settings, progress: polygons.draw(sizes, **settings),
        settings=lambda data: {
            "corners": list(data.corners),
            "most": data.most,
            "radius": list(data.radius),
            "equal_area": data.equal_area,
        },
        check=lambda data: polygons.check(
            data.side, data.corners, data.most, data.radius
        ),
    ),
}
DATASETS = ("mnist", *DRAWN)

"""Classifying images that are read piece by piece: sequential MNIST and its relatives."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.data.sequences import cifar, digits, images, mnist
from nwm_jax.data.sequences.images import LabelledImages
from nwm_jax.data.windows import train_indices
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.sequences.task import SequenceTask
from nwm_jax.models.sequences import SequenceClassifier

DATASETS = ("digits", "mnist", "cifar10")
CLASSES = 10


class Classification(SequenceTask):
    """The classification task of a config, see `training.task.Task`.

    The evaluation set is the validation images, then the test images: while training
    only the first are looked at.

    Args:
      config: a resolved config. Beside what `SequenceTask` reads: `data.name` (of
        `DATASETS`), `data.path` and `data.cache_dir` (see `data.sequences.mnist.read`
        and `data.sequences.cifar.read`; digits need neither), `data.pool` (images
        shrunk by this factor; 1), `data.permute` (the order of psMNIST), `data.length`
        (steps; what the image leaves is noise, the same for all; 0: as many as the
        image has), `data.num_valid`, `data.num_train` and `data.num_test` (0: all
        others, all), `data.seed` (of the split and the noise).
      progress: called as progress(done, total), in bytes, while downloading.

    Raises:
      UserError: unknown dataset, files that are missing or damaged, numbers that do not
        fit the images, or the model's fields do not fit together.
    """

    metric = "accuracy"
    curve = "cross_entropy"
    followed = "valid/accuracy"
    tabulated = ("test/accuracy", "test/cross_entropy", "valid/accuracy")
    preparation = "downloading"

    def __init__(
        self,
        config: ConfigDict,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        data = config.data
        labelled = _read(data, progress)
        train, valid = images.split(
            data.seed, len(labelled.train), data.num_valid, data.num_train
        )
        test = images.choose(data.seed, len(labelled.test), data.num_test)
        before = _sequences(labelled.train, data)
        steps, features = before.shape[1:]
        self._train = before[train], labelled.train_labels[train]
        self._eval = (
            np.concatenate([before[valid], _sequences(labelled.test[test], data)]),
            np.concatenate([labelled.train_labels[valid], labelled.test_labels[test]]),
        )
        self._noise = _noise(data, steps, features)
        super().__init__(
            config,
            length=steps + len(self._noise),
            inputs=features,
            outputs=CLASSES,
            num_eval=len(self._eval[1]),
        )
        self._num_valid = len(valid)
        if len(valid):
            self.best = ("valid/accuracy", "max")
            self.num_periodic = len(valid)

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Returns images: "pixels" ``[n, T, F]`` in 0-255 and "labels" ``[n]``.

        Every image comes once in an epoch; a batch may straddle two.
        """
        pixels, labels = self._train
        indices = train_indices(
            self.config.seed,
            step,
            rows,
            batch_size=self.config.batch_size,
            size=len(labels),
        )
        return {"pixels": pixels[indices], "labels": labels[indices]}

    def inputs(self, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Returns pixels in [0, 1], then the noise."""
        pixels = jnp.asarray(batch["pixels"], jnp.float32) / 255.0
        noise = jnp.broadcast_to(self._noise, (len(pixels), *self._noise.shape))
        return jnp.concatenate([pixels, noise], axis=1)

    def errors(
        self, model: SequenceClassifier, batch: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns cross-entropy of every image, and 1 where the class is right."""
        logits = model(self.inputs(batch))
        labels = jnp.asarray(batch["labels"], jnp.int32)
        chosen = jnp.take_along_axis(
            jax.nn.log_softmax(logits), labels[:, None], axis=-1
        )
        right = jnp.argmax(logits, axis=-1) == labels
        return {"cross_entropy": -chosen[:, 0], "accuracy": right.astype(jnp.float32)}

    def objective(self, errors: Mapping[str, jax.Array]) -> jax.Array:
        """Returns mean cross-entropy."""
        return errors["cross_entropy"].mean()

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns images of the evaluation set; "test" is whether they are test images."""
        pixels, labels = self._eval
        return {
            "pixels": pixels[indices],
            "labels": labels[indices],
            "test": indices >= self._num_valid,
        }

    def score(
        self, model: SequenceClassifier, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns the errors of every image, and whether it is of the test."""
        return self.errors(model, batch) | {"test": batch["test"]}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over the images.

        Returns:
          "valid" and "test", each {"cross_entropy", "accuracy"}, where images of that
          part were scored; "num_weights".
        """
        parts = {"valid": ~scores["test"], "test": scores["test"]}
        summary: dict[str, Any] = {}
        for part, where in parts.items():
            if where.any():
                summary[part] = {
                    name: float(scores[name][where].mean(dtype=np.float64))
                    for name in ("cross_entropy", "accuracy")
                }
        return summary | {"num_weights": self._num_weights}


def _read(data: Any, progress: Callable[[int, int], None] | None) -> LabelledImages:
    if data.name == "digits":
        return digits.read()
    if data.name == "mnist":
        return mnist.read(data.path, data.cache_dir, progress)
    if data.name == "cifar10":
        return cifar.read(data.path)
    raise unknown("data.name", data.name, DATASETS)


def _sequences(pictures: np.ndarray, data: Any) -> np.ndarray:
    """Returns images as sequences of pixels in 0-255, ``[N, T, F]``."""
    sequences = images.scan(images.pool(pictures, data.pool))
    if data.permute:
        sequences = sequences[:, images.permutation(sequences.shape[1])]
    return sequences


def _noise(data: Any, steps: int, features: int) -> np.ndarray:
    """Returns the noise after the image, ``[length - steps, F]``."""
    if data.length and data.length < steps:
        raise UserError(
            f"data.length={data.length} is shorter than the {steps} steps of an image"
        )
    files.check_memory(4 * data.length * features, f"data.length={data.length}")
    return images.noise(data.seed, max(data.length - steps, 0), features)

"""Saying of every pixel of an image what it belongs to (arXiv:2502.06034)."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.core import segmentation as pixels
from nwm_jax.core.layouts import IMAGES
from nwm_jax.data.segmentation.source import open_source
from nwm_jax.data.windows import Batch, train_indices
from nwm_jax.experiments.segmentation import scores as segmentation
from nwm_jax.models import segmentation as models
from nwm_jax.models.segmenter import RecurrentSegmenter, Segmenter
from nwm_jax.models.unet import UNet
from nwm_jax.modules import functional
from nwm_jax.training.flops import count_by_xla
from nwm_jax.training.task import Task

# A run is called collapsed when it finds fewer of the foreground's pixels than this.
COLLAPSED = 0.01
_PARTS = ("valid", "test")


class Segmentation(Task[Segmenter | UNet]):
    """The segmentation task of a config, see `training.task.Task`.

    The evaluation set is the validation images, then the test images: while training
    only the first are looked at, and the checkpoint with the least cross-entropy on them
    is the one that is scored. (The original keeps an older one where the gain is below
    0.001.)

    Args:
      config: a resolved config of `experiments.segmentation.configs`.
      progress: called as progress(done, total) while images are drawn or downloaded.

    Raises:
      UserError: unknown dataset, numbers or sizes that do not fit together, or files
        that are missing or damaged.
    """

    metric = "segmentation"
    best = ("valid/cross_entropy", "min")
    scored = "best"
    curve = "cross_entropy"
    followed = best[0]
    units_per_example = 1
    preparation = "preparing images"
    #: Numbers of an evaluation that stand in tables of many runs.
    tabulated = tuple(
        f"test/{name}"
        for name in (
            *("accuracy_foreground", "iou_foreground", "accuracy", "iou"),
            *("cross_entropy", "iou_legacy"),
        )
    )

    def __init__(
        self,
        config: ConfigDict,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(config)
        self.source = open_source(config.data, progress)
        self._num_valid = self.source.size("valid")
        self.num_eval = self._num_valid + self.source.size("test")
        self.num_periodic = self._num_valid
        # The model's structure, with shapes instead of weights.
        self.model = nnx.eval_shape(lambda: self.init(jax.random.key(0)))
        self.graphdef, params, _ = functional.split(self.model)
        self._num_parameters = functional.count(params)
        height, width, _ = self.source.image_shape
        self._num_pixels = height * width

    def init(self, key: jax.Array) -> Segmenter | UNet:
        """Draws a new model."""
        return models.build(
            self.config.model,
            self.source.image_shape,
            len(self.source.class_names),
            conv=self.config.conv,
            remat=self.config.remat,
            rngs=nnx.Rngs(key),
        )

    @property
    def note(self) -> str:  # type: ignore[override]  # an attribute, computed
        """One line about the images."""
        height, width, channels = self.source.image_shape
        names = ", ".join(self.source.class_names)
        return (
            f"images of {height} x {width} x {channels}, {self.source.size('train'):,} "
            f"to learn from; classes: {names}"
        )

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Returns training images, see `data.segmentation.source`.

        Every image comes once in an epoch; a batch may straddle two.
        """
        indices = train_indices(
            self.config.seed,
            step,
            rows,
            batch_size=self.config.batch_size,
            size=self.source.size("train"),
        )
        return self.source.read("train", indices)

    def _decode(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
        decoded = self.source.decode(batch)
        return decoded["images"], decoded["labels"]

    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """Returns mean cross-entropy of all pixels; the accuracies are followed too."""
        model = functional.merge(self.graphdef, params, state)
        images, labels = self._decode(batch)
        options = {"train": True} if isinstance(model, UNet) else {}
        loss, sums = model.score(images, labels, pixels.training_sums, **options)
        sums = jax.tree.map(lambda value: jax.lax.stop_gradient(value.sum()), sums)
        metrics = {
            "cross_entropy": jax.lax.stop_gradient(loss),
            "accuracy": sums["right"] / labels.size,
            "accuracy_foreground": sums["foreground_right"]
            / jnp.maximum(sums["foreground"], 1),
        }
        return loss, (metrics, functional.split(model)[2])

    def check_size(self) -> None:
        """Refuses images that cannot be drawn here: all of them are in memory once."""
        data, (height, width, channels) = self.config.data, self.source.image_shape
        number = data.num_train + data.num_valid + data.num_test
        files.check_memory(
            number * height * width * (channels + 1),
            f"{number:,} images of {height} x {width} x {channels}",
            "lower data.num_train or data.side",
        )

    def bytes_per_example(self) -> float:
        """Bytes of an image and of the classes of its pixels."""
        height, width, channels = self.source.image_shape
        return 4.0 * height * width * (channels + 1)

    def forward_flops(self) -> float:
        """Returns floating-point operations of the loss of one batch, counted by XLA.

        Of a recurrence, whose body XLA counts once, all steps are counted.
        """
        model = self.config.model
        shape = (self.config.batch_size, *self.source.image_shape)
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        labels = jax.ShapeDtypeStruct(shape[:3], jnp.int32)

        def build() -> Segmenter | UNet:
            classes = len(self.source.class_names)
            return models.build(model, shape[1:], classes, conv="xla", rngs=nnx.Rngs(0))

        def loss(images: jax.Array, labels: jax.Array) -> jax.Array:
            return build().score(images, labels, pixels.training_sums)[0]

        def steps(number: int) -> Callable[[jax.Array], Any]:
            def run(images: jax.Array) -> Any:
                segmenter = build()
                assert isinstance(segmenter, RecurrentSegmenter)
                cell: Any = segmenter.cell  # its scenes and states are its own
                scene, state = cell.encode(images)
                for _ in range(number):
                    state = cell.step(IMAGES, scene, state)
                return scene, state

            return run

        total = count_by_xla(loss, images, labels)
        if isinstance(self.model, RecurrentSegmenter):
            one = count_by_xla(steps(1), images) - count_by_xla(steps(0), images)
            total += (model.num_steps - 1) * one
        return total

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns images of the evaluation set; "test" is whether they are test images."""
        test = indices >= self._num_valid
        parts = {
            "valid": (indices[~test], np.flatnonzero(~test)),
            "test": (indices[test] - self._num_valid, np.flatnonzero(test)),
        }
        batch: dict[str, np.ndarray] = {"test": test}
        for split, (chosen, places) in parts.items():
            if not len(chosen):
                continue
            for name, rows in self.source.read(split, chosen).items():
                if name not in batch:
                    batch[name] = np.zeros((len(indices), *rows.shape[1:]), rows.dtype)
                batch[name][places] = rows
        return batch

    def score(
        self, model: Segmenter | UNet, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns sums of every image, see `core.segmentation.all_sums`, and its part."""
        images, labels = self._decode(batch)
        _, sums = model.score(images, labels, pixels.all_sums)
        return sums | {"test": batch["test"]}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns means over images.

        Returns:
          "valid" and "test", each the scores of `scores.scores`, where
          images of that part were scored; of the test also "background" (the scores of
          no skill) and "collapsed", 1 if hardly any foreground was found, else 0;
          "num_parameters_original", counting what the original allocates unused.
        """
        summary: dict[str, Any] = {}
        for part, where in zip(_PARTS, (~scores["test"], scores["test"]), strict=False):
            if not where.any():
                continue
            sums = {k: v[where] for k, v in scores.items() if k != "test"}
            means = segmentation.scores(sums, self._num_pixels)
            # An image without foreground says nothing of it.
            summary[part] = {k: _mean(means[k]) for k in segmentation.SCORES}
            if part == "test":
                summary["background"] = segmentation.background(sums["truth"])
                share = summary["test"]["accuracy_foreground"]
                summary["collapsed"] = int(not share >= COLLAPSED)
        summary["num_parameters_original"] = self._num_parameters + models.num_unused(
            self.config.model
        )
        return summary

    def figures(
        self, model: Segmenter | UNet, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Draws what the model makes of test images.

        Args:
          model: a trained model.
          folder: where the pictures go.

        Returns:
          segmentation.png, images with truth and answer; of recurrent models also
          states.png and states.webp, the state over time beside image and answer, and
          spectra.png, the Fourier spectra of the pixels of every class;
          receptive_field.png, what the answer in the middle depends on.
        """
        from nwm_jax.experiments.segmentation import figures as shapes

        indices = np.arange(min(32, self.source.size("test"))) + self._num_valid
        images, labels = map(np.asarray, self._decode(self.eval_batch(indices)))
        answers = np.asarray(jax.jit(lambda m, x: m(x).argmax(-1))(model, images))
        names, title = self.source.class_names, self.title
        paths = [
            shapes.draw_answers(
                folder / "segmentation.png", images, labels, answers, names, title=title
            )
        ]
        if isinstance(model, RecurrentSegmenter):
            states = np.asarray(jax.jit(lambda m, x: m.states(x))(model, images))
            # The image with the most classes, and the channel that varies most.
            chosen = int(np.argmax([len(np.unique(label)) for label in labels]))
            channel = int(np.argmax(states[chosen].var(axis=(0, 1, 2))))
            shown = (images[chosen], labels[chosen], answers[chosen])
            series = states[chosen, ..., channel]
            paths += [
                shapes.draw_states(folder / "states.png", *shown, series, title=title),
                shapes.animate_states(folder / "states.webp", *shown, series),
                shapes.draw_spectra(
                    folder / "spectra.png", states, labels, names, title=title
                ),
            ]
        paths.append(
            shapes.draw_receptive_field(
                folder / "receptive_field.png",
                self.receptive_field(model, images),
                title=title,
            )
        )
        return paths

    def receptive_field(
        self, model: Segmenter | UNet, images: np.ndarray
    ) -> np.ndarray:
        """Returns what the answer in the middle of an image depends on.

        Args:
          model: any model.
          images: ``[N, H, W, C]``.

        Returns:
          ``[H, W]``: the absolute gradient of the middle pixel's largest logit with
          respect to every pixel, summed over channels, averaged over the images.
        """
        row, column = images.shape[1] // 2, images.shape[2] // 2

        def middle(images: jax.Array, model: Segmenter | UNet) -> jax.Array:
            return model(images)[:, row, column].max(axis=-1).sum()

        gradient = jax.jit(jax.grad(middle))(images, model)
        return np.abs(np.asarray(gradient)).sum(axis=-1).mean(axis=0)


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")

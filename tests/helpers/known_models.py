"""Models and data that are known through and through."""

import types

import jax.numpy as jnp
import numpy as np

from nwm_jax.models import Latents


class Counting:
    """A model whose error in frame t is t / 1000, on images that are 1 everywhere.

    Args:
      train_length: frames of a training clip.
      missing: frames at the start of a clip that it forecasts no means of.
      reversible: whether it runs backward; the error in frame t is then t / 500.
    """

    num_observed = 5

    def __init__(self, train_length, missing, reversible):
        self.train_length, self.missing = train_length, missing
        self.reversible = reversible

    def reconstruct(self, images):
        return (images + _ramp(images, 1000))[:, self.missing :]

    def reconstruct_backward(self, images):
        return images + _ramp(images, 500)

    def latents(self, images):
        z = np.repeat(np.arange(images.shape[1])[None, :, None], len(images), axis=0)
        return Latents(jnp.float32(z[:, self.missing :].repeat(2, axis=-1)), None, "")


def task(model, images, **fields):
    """A forecasting task of a model and given test clips ``[N, T, H, W, C]``.

    Args:
      model: has a `train_length`.
      images: all trajectories, the same for both splits.
      fields: of `config.eval`.
    """
    images = np.asarray(images, np.float32)

    def read(split, indices, starts, length):
        cut = [images[i, s : s + length] for i, s in zip(indices, starts, strict=False)]
        states = np.zeros((len(cut), length, 2), np.float32)
        states[..., 0] = np.arange(length) + np.asarray(starts)[:, None]
        return {"images": np.stack(cut), "states": states}

    source = types.SimpleNamespace(
        num_frames=images.shape[1],
        image_shape=images.shape[2:],
        size=lambda split: len(images),
        read=read,
        decode=lambda batch: batch,
    )
    settings = {"num_vpt": 10, "batch_size": 4, "horizon": 60, "num_windows": 8}
    config = types.SimpleNamespace(
        eval=types.SimpleNamespace(**settings | fields),
        data=types.SimpleNamespace(seed=0, name="clips", path="clips.npy", dt=0.05),
    )

    def with_mean_image(batch):
        shape = (len(batch["images"]), *source.image_shape)
        return batch | {"mean_image": np.full(shape, 1.2, np.float32)}

    return types.SimpleNamespace(
        model=model,
        split="test",
        graphdef=None,
        num_eval=8,
        eval_batch_size=4,
        eval_batch=None,
        source=source,
        config=config,
        train_length=model.train_length,
        window=model.train_length + config.eval.horizon,
        with_mean_image=with_mean_image,
    )


def evaluate(evaluation, model):
    """All scores of an evaluation in one go, and their summary."""
    batch = evaluation.eval_batch(np.arange(evaluation.num_eval))
    scores = {k: np.asarray(v) for k, v in evaluation.score(model, batch).items()}
    return scores, evaluation.summarise(scores)


def _ramp(images, unit):
    return (np.arange(images.shape[1]) / unit)[:, None, None, None]

"""A forecasting model of your own, without a recurrent cell.

    python -m nwm_jax.train --config=examples/own_model.py:smoke --workdir=runs/own_model
    python -m nwm_jax.evaluate --config=examples/own_model.py --workdir=runs/own_model

It extrapolates images by a small network of the last two:

    frame_{t+1} = frame_t + network(frame_t, frame_t - frame_{t-1})
"""

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.experiments import forecasting
from nwm_jax.experiments.forecasting import configs
from nwm_jax.models import Latents
from nwm_jax.models.likelihood import negative_log_likelihood


class Extrapolator(nnx.Module):
    """A `nwm_jax.models.ForecastModel`; images are ``[B, T, H, W, C]`` in [0, 1].

    Args:
      channels: of the hidden layer.
      image_shape: (H, W, C).
      num_observed: frames that `reconstruct` sees, at least 2.
      train_length: frames of a training clip.
      rngs: draws the weights.
    """

    reversible = False

    def __init__(
        self,
        channels: int,
        image_shape: tuple[int, int, int],
        num_observed: int,
        train_length: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.num_observed, self.train_length = num_observed, train_length
        colours = image_shape[-1]
        self.hidden = nnx.Conv(2 * colours, channels, (5, 5), rngs=rngs)
        self.change = nnx.Conv(channels, colours, (5, 5), rngs=rngs)

    def following(self, before: jax.Array, last: jax.Array) -> jax.Array:
        """Returns the frames after two frames, ``[..., H, W, C]`` each."""
        seen = jnp.concatenate([last, last - before], axis=-1)
        return last + self.change(nnx.leaky_relu(self.hidden(seen)))

    def loss(
        self, images: jax.Array, key: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the loss of frames 2..T-1, each from the two before it."""
        del key
        means = self.following(images[:, :-2], images[:, 1:-1])
        return negative_log_likelihood(means, images[:, 2:])

    def forecast(self, observed: jax.Array, horizon: int) -> jax.Array:
        """Returns the `horizon` frames after the observed ones."""

        def step(pair, _):
            mean = self.following(*pair)
            return (pair[1], mean), mean

        start = observed[:, -2], observed[:, -1]
        _, means = jax.lax.scan(step, start, length=horizon)
        return jnp.moveaxis(means, 0, 1)

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """Returns frames 2..T-1 from the first `num_observed`, ``[B, T-2, H, W, C]``."""
        seen = images[:, : self.num_observed]
        within = self.following(seen[:, :-2], seen[:, 1:-1])
        free = self.forecast(seen, images.shape[1] - self.num_observed)
        return jnp.concatenate([within, free], axis=1)

    def states(self, images: jax.Array) -> jax.Array:
        """Returns the forecast frames as vectors: the model has no other state."""
        means = self.reconstruct(images)
        return means.reshape(*means.shape[:2], -1)

    def latents(self, images: jax.Array) -> Latents:
        """Returns the same, without pairs of position and momentum."""
        return Latents(self.states(images), None, "")


def build(model, image_shape, *, conv, remat, rngs):
    """Returns the model that a config describes; `conv` and `remat` are not used."""
    del conv, remat
    sizes = model.conv_channels, image_shape, model.num_observed, model.num_target
    return Extrapolator(*sizes, rngs=rngs)


forecasting.register_model(
    "extrapolator",
    fields={"conv_channels": 32, "num_observed": 31, "num_target": 60},
    build=build,
)


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config on the spring; `argument` is ``preset,field=value,...``."""
    return configs.get_config("spring", "extrapolator", argument)

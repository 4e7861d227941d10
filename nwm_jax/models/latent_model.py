"""Variational forecasters: observe some frames, infer a state, let it move, decode.

Botev et al., Which priors matter? (arXiv:2111.05458). With o the observed frames:

    z ~ Normal(mean(o), stddev(o))         the encoder's posterior; prior Normal(0, 1)
    z_t = the dynamics from z, one state a frame, forward and backward
    frame_t ~ Normal(decoder(z_t), 1/sqrt(2))

Training draws one z; everything else takes the mean.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nwm_jax.core import elbo
from nwm_jax.errors import UserError
from nwm_jax.models import Latents, splits
from nwm_jax.models.compiled import check_images, compiled
from nwm_jax.models.dynamics import Dynamics
from nwm_jax.models.likelihood import negative_log_likelihood
from nwm_jax.modules.autoencoder import PlanesDecoder

_LARGEST_DT = 1e3
_LARGEST_BETA = 1e6


class LatentModel(nnx.Module):
    """Forecasts frames with a latent state that moves by itself.

    Args:
      encoder: ``[B, H, W, n C] -> [B, ..., 2 D]``, of the observed frames side by side
        in the channels, frame after frame: means, then logarithms of deviations.
      dynamics: how ``[B, ..., D]`` moves.
      decoder: ``[..., features] -> [..., H, W, C]``, of what the dynamics lets it see.
      num_observed: n, frames that are observed.
      num_target: frames to give in training.
      training: "forward" or "forward_backward", see `models.splits`.
      split: "overlap_by_one", "no_overlap" or "include_inference", see `models.splits`.
      dt: time between frames, in the units of the dynamics, not 0, at most 1,000.
      beta: weight of the divergence from the prior, from 0 to 1e6.

    Attributes:
      num_observed: n.
      train_length: frames of a training clip.
      reversible: whether it runs backward in time.
      clip: how training clips are cut, a `splits.Split`.

    Raises:
      UserError: a split that does not fit, see `models.splits.get`, or dt or beta out
        of range.
    """

    def __init__(
        self,
        encoder: Callable[[jax.Array], jax.Array],
        dynamics: Dynamics,
        decoder: PlanesDecoder,
        *,
        num_observed: int,
        num_target: int,
        training: str,
        split: str,
        dt: float,
        beta: float,
    ) -> None:
        if not (0.0 < abs(dt) <= _LARGEST_DT and 0.0 <= beta <= _LARGEST_BETA):
            raise UserError(
                f"dt={dt:g} must be at most {_LARGEST_DT:g} in size and not 0, and "
                f"beta={beta:g} from 0 to {_LARGEST_BETA:g}"
            )
        self.clip = splits.get(
            training, split, num_observed, num_target, dynamics.reversible
        )
        self.training = training
        self.split = split
        self.encoder = encoder
        self.dynamics = dynamics
        self.decoder = decoder
        self.dt = dt
        self.beta = beta

    @property
    def num_observed(self) -> int:
        """Returns the frames of a clip that are observed."""
        return self.clip.num_observed

    @property
    def train_length(self) -> int:
        """Returns the frames of a training clip."""
        return self.clip.train_length

    @property
    def reversible(self) -> bool:
        """Returns whether the model runs backward."""
        return self.dynamics.reversible

    def posterior(self, observed: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and standard deviation of z.

        Args:
          observed: ``[B, num_observed, H, W, C]`` in [0, 1], in order of time.

        Returns:
          Two arrays ``[B, ..., D]``.
        """
        batch, frames, height, width, channels = observed.shape
        stacked = jnp.moveaxis(observed, 1, 3)
        stacked = stacked.reshape(batch, height, width, frames * channels)
        mean, log_stddev = jnp.split(self.encoder(stacked), 2, axis=-1)
        return mean, jnp.exp(log_stddev)

    def loss(
        self, images: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The negative evidence lower bound for each target pixel.

            mean of (error² + log(pi) / 2) + beta KL(posterior | prior) / (T H W C)

        Args:
          images: ``[B, train_length, H, W, C]`` in [0, 1].
          key: draws z.

        Returns:
          The loss, and the metrics of `evidence`.

        Raises:
          UserError: clips of another length.
        """
        likelihood, metrics = self.evidence(images, key)
        return likelihood + self.beta * metrics["kl"], metrics

    def evidence(
        self, images: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """What the loss is made of, from one sample of z; arguments as for `loss`.

        Returns:
          The negative log likelihood for each target pixel, and scalars: "mse" and
          "relative_mse"; "kl", the divergence from the prior for each target pixel;
          "small_latents", the number of latents that say something (posterior variance
          below 0.5, mean beyond 0.1), a mean over the batch.
        """
        observed, targets, sign = splits.cut(self.clip, images)
        mean, stddev = self.posterior(observed)
        z = mean + stddev * jax.random.normal(key, mean.shape, mean.dtype)
        means = self._decode(
            self.dynamics.trajectory(
                self._start(z),
                sign * self.dt,
                self.clip.num_back,
                self.clip.num_forward,
                self.clip.include_start,
            )
        )
        likelihood, metrics = negative_log_likelihood(means, targets)
        divergence = elbo.kl_to_standard_normal(mean, 2 * jnp.log(stddev))
        informative = (jnp.square(stddev) < 0.5) & (jnp.abs(mean) > 0.1)
        return likelihood, metrics | {
            "kl": jnp.sum(divergence) / targets.size,
            "small_latents": jnp.sum(informative, dtype=mean.dtype) / mean.shape[0],
        }

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """The benchmark's roll-out: sees the first num_observed frames only.

        Args:
          images: ``[B, T, H, W, C]``, T >= num_observed; of frames after num_observed
            only the number counts.

        Returns:
          Means of all frames, ``[B, T, H, W, C]``; of the frames from the last observed
          one on, ``[B, T - num_observed + 1, H, W, C]``, if it does not run backward.

        Raises:
          UserError: T < num_observed.
        """
        return self._decode(self._roll_out(images)[0])

    def reconstruct_backward(self, images: jax.Array) -> jax.Array:
        """The same into the past: sees the last num_observed frames only.

        Args:
          images: ``[B, T, H, W, C]``, T >= num_observed.

        Returns:
          Means of all frames in order of time, ``[B, T, H, W, C]``.

        Raises:
          UserError: T < num_observed, or the model does not run backward.
        """
        frames = self._check_length(images)
        mean, _ = self.posterior(images[:, -self.num_observed :])
        ahead = self.num_observed - 1 - self.clip.anchor
        return self._decode(self._move(mean, frames - 1 - ahead, ahead))

    @compiled
    def forecast(self, observed: jax.Array, horizon: int) -> jax.Array:
        """Means of the frames after the observed ones.

        Args:
          observed: ``[B, n, H, W, C]``, floats in [0, 1] or uint8 (divided by 255),
            n >= num_observed; the last num_observed of them are seen.
          horizon: how many frames to forecast, >= 1.

        Returns:
          Frames n..n+horizon-1, ``[B, horizon, H, W, C]``.

        Raises:
          UserError: n < num_observed, horizon < 1, or not such images.
        """
        self._check_length(observed)
        if horizon < 1:
            raise UserError(f"horizon must be at least 1, got {horizon}")
        mean, _ = self.posterior(observed[:, -self.num_observed :])
        ahead = self.num_observed - 1 - self.clip.anchor
        return self._decode(self._move(mean, 0, ahead + horizon)[:, -horizon:])

    def check_input(self, images: Any) -> np.ndarray:
        """Checks clips before `forecast` and `states`, see `compiled.check_images`."""
        return check_images(images, self.decoder.image_shape)

    def latents(self, images: jax.Array) -> Latents:
        """The states behind `reconstruct(images)`; arguments and errors as there."""
        states, variance = self._roll_out(images)
        flat = self._flatten(states)
        return Latents(flat, self._flatten(variance), self.dynamics.pairing)

    @compiled
    def states(self, images: jax.Array) -> jax.Array:
        """The same without the rest of `latents`: ``[B, T', d]``."""
        return self.latents(images).z

    def energy(self, z: jax.Array) -> jax.Array:
        """The model's own energy of states of `latents`, ``[..., D] -> [...]``.

        Raises:
          UserError: the dynamics has no energy.
        """
        if not hasattr(self.dynamics, "energy"):
            raise UserError("this model has no energy: choose hgn, lgn or hgn_conv")
        return self.dynamics.energy(self._unflatten(z))

    def _roll_out(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """All states from the first observed frames, and the posterior's variance."""
        frames = self._check_length(images)
        anchor = self.clip.anchor
        mean, stddev = self.posterior(images[:, : self.num_observed])
        back = anchor if self.reversible else 0
        return self._move(mean, back, frames - 1 - anchor), jnp.square(stddev)

    def _move(self, z: jax.Array, num_back: int, num_forward: int) -> jax.Array:
        return self.dynamics.trajectory(self._start(z), self.dt, num_back, num_forward)

    def _decode(self, states: jax.Array) -> jax.Array:
        return self.decoder(self.dynamics.visible(states))

    def _check_length(self, images: jax.Array) -> int:
        frames = images.shape[1]
        if frames < self.num_observed:
            raise UserError(
                f"clips have {frames} frames, but this model observes "
                f"{self.num_observed}"
            )
        return frames

    def _start(self, z: jax.Array) -> jax.Array:
        """The state that moves, from the inferred one."""
        return z

    def _flatten(self, states: jax.Array) -> jax.Array:
        """States ``[..., *shape, D]`` as vectors."""
        return states

    def _unflatten(self, z: jax.Array) -> jax.Array:
        """The inverse of `_flatten`."""
        return z

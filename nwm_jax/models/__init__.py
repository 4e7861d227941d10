"""Models: modules put together into something that forecasts.

What tasks, evaluations and figures know of a model is `ForecastModel`.
"""

from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

import jax
import numpy as np


class Latents(NamedTuple):
    """The states that the means of `ForecastModel.reconstruct` are decoded from.

    Attributes:
      z: ``[B, T', d]``, one for every mean.
      variance: the posterior's variance of the inferred state, ``[B, d]``; None for a
        deterministic model.
      pairing: which numbers are positions q and momenta p: "halves" (the first d/2 and
        the last), "interleaved" (q, p, q, p, ...: x and v of oscillators), or "" where
        there are no pairs.
    """

    z: jax.Array
    variance: jax.Array | None
    pairing: str


# The pairing is no array: with this, `latents` can be compiled.
jax.tree_util.register_pytree_node(
    Latents,
    lambda latents: ((latents.z, latents.variance), latents.pairing),
    lambda pairing, arrays: Latents(*arrays, pairing),
)


@runtime_checkable
class ForecastModel(Protocol):
    """A model of the forecasting benchmark (arXiv:2111.05458).

    Images are ``[B, T, H, W, C]`` float32 in [0, 1]. Means are aligned from the end of
    a clip: the truth of n means is ``images[:, -n:]``.

    Attributes:
      num_observed: frames that `reconstruct` sees.
      train_length: frames of a training clip; the frames after it are extrapolation.
      reversible: True where there is a `reconstruct_backward`.
    """

    @property
    def num_observed(self) -> int:
        """Returns how many frames `reconstruct` sees."""

    @property
    def train_length(self) -> int:
        """Returns how many frames a training clip has."""

    @property
    def reversible(self) -> bool:
        """Returns whether there is a `reconstruct_backward`."""

    def loss(
        self, images: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The training loss of clips of `train_length` frames, a mean over the batch.

        Args:
          images: ``[B, train_length, H, W, C]``.
          key: the randomness of this step, for models that draw.

        Returns:
          The loss, and scalar metrics: at least "mse" and "relative_mse". A model may
          change its own variables that are not parameters.
        """

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """Means of the last n frames of a clip, seen only its first `num_observed`.

        Args:
          images: ``[B, T, H, W, C]``; of frames after num_observed only the number
            counts.

        Returns:
          ``[B, n, H, W, C]``; n is T, or less by the frames that a model cannot give.
        """

    def forecast(self, observed: jax.Array | np.ndarray, horizon: int) -> jax.Array:
        """Means of the `horizon` frames after the observed ones.

        Args:
          observed: ``[B, n, H, W, C]``, n >= num_observed.
          horizon: how many frames to forecast, >= 1.

        Returns:
          ``[B, horizon, H, W, C]``.
        """

    def latents(self, images: jax.Array) -> Latents:
        """The states behind `reconstruct(images)`."""

    def states(self, images: jax.Array) -> jax.Array:
        """What moves during `reconstruct(images)`, for the analysis.

        Args:
          images: as for `reconstruct`.

        Returns:
          One for every mean: of oscillators in space their positions,
          ``[B, n, H, W, C]``; else vectors, ``[B, n, d]``.
        """


@runtime_checkable
class ReversibleModel(ForecastModel, Protocol):
    """A forecast model that also runs backward in time (`reversible` is True)."""

    def reconstruct_backward(self, images: jax.Array) -> jax.Array:
        """Means of the first n frames of a clip, seen only its last `num_observed`.

        Args:
          images: ``[B, T, H, W, C]``; of the frames before the last num_observed only
            the number counts.

        Returns:
          ``[B, n, H, W, C]``, in chronological order, the last of them first inferred.
        """


def runs_backward(model: ForecastModel) -> TypeGuard[ReversibleModel]:
    """Returns whether a model has a `reconstruct_backward`: whether it is reversible."""
    return model.reversible

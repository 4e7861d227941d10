"""The autoregressive forecaster: encode every frame, recur, decode the next one.

Keller & Welling, Neural Wave Machines, ICML 2023 (section 4.2 and appendix), on the
benchmark of Botev et al., arXiv:2111.05458. With u_t = encoder(frame_t):

    s_0 = GRU(u_{k-1}, ..., u_1, u_0)        the initial-condition network, or rest
    s_{t+1} = cell(s_t, u_t)                 the oscillators
    frame_{t+1} ~ Normal(decoder(s_{t+1}), 1/sqrt(2))

In training every u_t comes from a true frame; when forecasting, frames that were not
observed are replaced by the decoder's own means.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.unroll import unroll
from nwm_jax.errors import UserError
from nwm_jax.evaluation import mse
from nwm_jax.modules.autoencoder import Decoder, Encoder
from nwm_jax.modules.cells import GRUCell, OscillatorCell


class Forecaster(nnx.Module):
    """Forecasts frames with a field of oscillators.

    Args:
      cell: the field; its flat input length is the length of the encoder's output.
      image_shape: (H, W, C), sides multiples of 8.
      num_observed: frames that `reconstruct` sees before it runs freely, >= num_ic.
      num_ic: k, frames that the initial-condition network reads; 0 starts at rest.
      conv_channels: channels of the image networks' hidden convolutions.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.
      rngs: draws the weights.

    Raises:
      UserError: sides are not multiples of 8, or num_ic > num_observed.
    """

    def __init__(
        self,
        cell: OscillatorCell,
        image_shape: tuple[int, int, int],
        *,
        num_observed: int,
        num_ic: int,
        conv_channels: int = 64,
        conv: str = "auto",
        remat: int = 0,
        rngs: nnx.Rngs,
    ) -> None:
        if not 0 <= num_ic <= num_observed or num_observed < 1:
            raise UserError(
                f"num_observed ({num_observed}) must be at least 1 and at least "
                f"num_ic ({num_ic})"
            )
        self.num_observed = num_observed
        self.num_ic = num_ic
        self.remat = remat
        features = math.prod(cell.input_shape)
        self.encoder = Encoder(
            image_shape, features, channels=conv_channels, conv=conv, rngs=rngs
        )
        self.cell = cell
        self.initial = GRUCell(features, cell.state_size, rngs=rngs) if num_ic else None
        self.decoder = Decoder(
            cell.state_size,
            image_shape,
            planes=min(cell.state_size, features // 2),
            channels=conv_channels,
            conv=conv,
            rngs=rngs,
        )

    def predict(self, images: jax.Array) -> jax.Array:
        """One-step-ahead predictions with every input a true frame.

        Args:
          images: frames 0..T-1, ``[B, T, H, W, C]`` in [0, 1], T >= num_ic.

        Returns:
          Means of frames 1..T, ``[B, T, H, W, C]``.

        Raises:
          UserError: T < max(1, num_ic).
        """
        return self._decode(self._observe(images)[1])

    def loss(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The teacher-forced training loss: mean over the batch and all pixels of

            -log Normal(frame_{t+1}; mean_{t+1}, 1/sqrt(2)) = error² + log(pi) / 2

        for t + 1 = 1..T-1 (arXiv:2111.05458; equal weights for all frames).

        Args:
          images: ``[B, T, H, W, C]`` in [0, 1], T > num_ic.

        Returns:
          The loss, and {"mse", "relative_mse"} of the same predictions, all scalars;
          black frames are left out of the relative error.

        Raises:
          UserError: T <= max(1, num_ic).
        """
        errors = mse.frame_errors(self.predict(images[:, :-1]), images[:, 1:])
        means = {name: jnp.nanmean(error) for name, error in errors.items()}
        return means["mse"] + 0.5 * math.log(math.pi), means

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """The benchmark's roll-out: sees the first num_observed frames, then only itself.

        Args:
          images: ``[B, T, H, W, C]``; of frames after num_observed only the number
            counts.

        Returns:
          Means of frames 1..T-1, ``[B, T-1, H, W, C]``.

        Raises:
          UserError: T <= num_observed.
        """
        return self.roll_out(images)[0]

    def forecast(self, observed: jax.Array, horizon: int) -> jax.Array:
        """Means of the frames after the observed ones.

        Args:
          observed: ``[B, n, H, W, C]`` in [0, 1], n >= max(1, num_ic); all are seen.
          horizon: how many frames to forecast, >= 1.

        Returns:
          Frames n..n+horizon-1, ``[B, horizon, H, W, C]``.

        Raises:
          UserError: n < max(1, num_ic), or horizon < 1.
        """
        if horizon < 1:
            raise UserError(f"horizon must be at least 1, got {horizon}")
        last, _ = self._observe(observed)
        return self._run_freely(last, horizon - 1)[0]

    def states(self, images: jax.Array) -> jax.Array:
        """The positions of the oscillators during `reconstruct`, for the analysis.

        Args:
          images: as for `reconstruct`.

        Returns:
          x of the states that predict frames 1..T-1: ``[B, T-1, H, W, C]``
          (``[B, T-1, N]`` for the globally coupled cell).

        Raises:
          UserError: T <= num_observed.
        """
        return self.roll_out(images)[1].x

    def roll_out(self, images: jax.Array) -> tuple[jax.Array, OscillatorState]:
        """What `reconstruct` and `states` are taken from, in one go.

        Args:
          images: as for `reconstruct`.

        Returns:
          Means of frames 1..T-1, ``[B, T-1, H, W, C]``, and the states that they are
          decoded from: x and v, ``[B, T-1, *field]`` each.

        Raises:
          UserError: T <= num_observed.
        """
        seen = self.num_observed
        free = images.shape[1] - seen - 1
        if free < 0:
            raise UserError(
                f"clips have {images.shape[1]} frames, but num_observed = {seen} needs "
                f"at least {seen + 1}"
            )
        last, states = self._observe(images[:, :seen])
        before = jax.tree.map(lambda s: s[:, :-1], states)
        means, free_states = self._run_freely(last, free)
        return (
            jnp.concatenate([self._decode(before), means], axis=1),
            jax.tree.map(
                lambda *parts: jnp.concatenate(parts, axis=1), states, free_states
            ),
        )

    def _observe(self, images: jax.Array) -> tuple[OscillatorState, OscillatorState]:
        """The field driven by true frames: the last state and all, ``[B, T, ...]``."""
        if images.shape[1] < max(self.num_ic, 1):
            raise UserError(
                f"got {images.shape[1]} observed frames; the initial-condition network "
                f"reads {max(self.num_ic, 1)}"
            )
        codes = self.encoder(images)
        return unroll(
            self.cell.step, self._start(codes), self._drive(codes), remat=self.remat
        )

    def _start(self, codes: jax.Array) -> OscillatorState:
        """The state before frame 0, from the first codes read backwards in time."""
        if self.initial is None:
            shape = (codes.shape[0], *self.cell.input_shape)
            return self.cell.initialize_carry(shape)
        drives = self.initial.drive(codes[:, self.num_ic - 1 :: -1])
        rest = jnp.zeros((codes.shape[0], self.initial.units), codes.dtype)
        flat, _ = unroll(self.initial.step, rest, drives, remat=self.remat)
        return self.cell.unflatten(flat)

    def _run_freely(
        self, state: OscillatorState, steps: int
    ) -> tuple[jax.Array, OscillatorState]:
        """Feeds the decoded means back `steps` times.

        Returns the means of `state` and of the `steps` states after it,
        ``[B, steps + 1, ...]``, and those later states, ``[B, steps, ...]``.
        """

        def body(state, _):
            mean = self._decode(state)
            state = self.cell.step(state, self._drive(self.encoder(mean)))
            return state, (mean, state)

        last, (means, states) = jax.lax.scan(body, state, length=steps)
        means = jnp.concatenate([means, self._decode(last)[None]])
        return jnp.moveaxis(means, 0, 1), jax.tree.map(
            lambda s: jnp.moveaxis(s, 0, 1), states
        )

    def _drive(self, codes: jax.Array) -> jax.Array:
        return self.cell.drive(codes.reshape(*codes.shape[:-1], *self.cell.input_shape))

    def _decode(self, states: OscillatorState) -> jax.Array:
        return self.decoder(self.cell.flatten(states))

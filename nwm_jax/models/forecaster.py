"""The autoregressive forecaster: encode every frame, recur, decode the next one.

Keller & Welling, Neural Wave Machines, ICML 2023 (section 4.2 and appendix), on the
benchmark of Botev et al., arXiv:2111.05458. With u_t = encoder(frame_t):

    s_0 = GRU(u_{k-1}, ..., u_1, u_0)        the initial-condition network, or zeros
    s_{t+1} = cell(s_t, u_t)                 oscillators, or a stack of gated cells
    frame_{t+1} ~ Normal(decoder(s_{t+1}), 1/sqrt(2))

In training every u_t comes from a true frame; when forecasting, frames that were not
observed are replaced by the decoder's own means.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nwm_jax.core.unroll import unroll, unroll_scan
from nwm_jax.errors import UserError, unknown
from nwm_jax.models import Latents
from nwm_jax.models.compiled import check_images, compiled
from nwm_jax.models.likelihood import negative_log_likelihood
from nwm_jax.modules.autoencoder import Decoder, Encoder
from nwm_jax.modules.cells import RecurrentCell
from nwm_jax.modules.gated import GRUCell

# A cell's state: a pytree of [B, ...] (`OscillatorState`, or a tuple of layers' states).
State = Any
DECODE = ("state", "output")


class Forecaster(nnx.Module):
    """Forecasts frames with a recurrent cell; a `models.ForecastModel`.

    Args:
      cell: the recurrence; its flat input length is the length of the encoder's output.
      image_shape: (H, W, C), sides multiples of 8.
      num_observed: frames that `reconstruct` sees before it runs freely, >= num_ic.
      num_ic: k, frames that the initial-condition network reads; it gives the cell's
        whole state. 0 starts with zeros.
      train_length: frames of a training clip.
      decode: what the decoder sees: the cell's whole "state", flat, or its "output" (the
        positions of oscillators, h of the last layer of a stack).
      conv_channels: channels of the image networks' hidden convolutions.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.
      rngs: draws the weights.
      types: param_dtype and dtype of all layers beside the cell, see
        `modules.layers.Linear`.

    Raises:
      UserError: sides are not multiples of 8, num_ic > num_observed, no more than
        max(1, num_ic) frames to train on, or an unknown `decode`.
    """

    reversible = False

    def __init__(
        self,
        cell: RecurrentCell,
        image_shape: tuple[int, int, int],
        *,
        num_observed: int,
        num_ic: int,
        train_length: int = 60,
        decode: str = "state",
        conv_channels: int = 64,
        conv: str = "auto",
        remat: int = 0,
        rngs: nnx.Rngs,
        **types: Any,
    ) -> None:
        if not 0 <= num_ic <= num_observed or num_observed < 1:
            raise UserError(
                f"num_observed ({num_observed}) must be at least 1 and at least "
                f"num_ic ({num_ic})"
            )
        if train_length <= max(1, num_ic):
            raise UserError(
                f"training clips of {train_length} frames are too short: they need "
                f"more than {max(1, num_ic)}"
            )
        if decode not in DECODE:
            raise unknown("decode", decode, DECODE)
        self.image_shape = tuple(image_shape)
        self.num_observed = num_observed
        self.num_ic = num_ic
        self.train_length = train_length
        self.decode = decode
        self.remat = remat
        features = math.prod(cell.input_shape)
        self.encoder = Encoder(
            image_shape, features, channels=conv_channels, conv=conv, rngs=rngs, **types
        )
        self.cell = cell
        self.initial = (
            GRUCell(features, cell.state_size, rngs=rngs, **types) if num_ic else None
        )
        seen = cell.state_size if decode == "state" else math.prod(cell.output_shape)
        self.decoder = Decoder(
            seen,
            image_shape,
            planes=min(seen, features // 2),
            channels=conv_channels,
            conv=conv,
            rngs=rngs,
            **types,
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

    def loss(
        self, images: jax.Array, key: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The teacher-forced training loss of frames 1..T-1 (`likelihood`).

        Args:
          images: ``[B, T, H, W, C]`` in [0, 1], T > max(1, num_ic); T is `train_length`
            in training.
          key: not needed, nothing is drawn.

        Returns:
          The loss, and {"mse", "relative_mse"} of the same predictions, all scalars.

        Raises:
          UserError: T <= max(1, num_ic).
        """
        return negative_log_likelihood(self.predict(images[:, :-1]), images[:, 1:])

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

    @compiled
    def forecast(self, observed: jax.Array, horizon: int) -> jax.Array:
        """Means of the frames after the observed ones.

        Args:
          observed: ``[B, n, H, W, C]``, floats in [0, 1] or uint8 (divided by 255),
            n >= max(1, num_ic); all are seen.
          horizon: how many frames to forecast, >= 1.

        Returns:
          Frames n..n+horizon-1, ``[B, horizon, H, W, C]``.

        Raises:
          UserError: n < max(1, num_ic), horizon < 1, or not such images.
        """
        if horizon < 1:
            raise UserError(f"horizon must be at least 1, got {horizon}")
        last, _ = self._observe(observed)
        return self._run_freely(last, horizon - 1)[0]

    @compiled
    def states(self, images: jax.Array) -> jax.Array:
        """The outputs of the cell during `reconstruct`, for the analysis.

        Args:
          images: as for `reconstruct`.

        Returns:
          x of the oscillators (h of a stack's last layer) that predict frames 1..T-1:
          ``[B, T-1, H, W, C]`` (``[B, T-1, N]`` for a cell without space).

        Raises:
          UserError: T <= num_observed.
        """
        return self.cell.output(self.roll_out(images)[1])

    def check_input(self, images: Any) -> np.ndarray:
        """Checks clips before `forecast` and `states`, see `compiled.check_images`."""
        return check_images(images, self.image_shape)

    def latents(self, images: jax.Array) -> Latents:
        """What the decoder saw during `reconstruct`.

        Args:
          images: as for `reconstruct`.

        Returns:
          ``[B, T-1, d]``; "interleaved" where it is x and v of oscillators, else
          without pairs.

        Raises:
          UserError: T <= num_observed.
        """
        pairing = getattr(self.cell, "pairing", "") if self.decode == "state" else ""
        return Latents(self._readout(self.roll_out(images)[1]), None, pairing)

    def roll_out(self, images: jax.Array) -> tuple[jax.Array, State]:
        """What `reconstruct` and `states` are taken from, in one go.

        Args:
          images: as for `reconstruct`.

        Returns:
          Means of frames 1..T-1, ``[B, T-1, H, W, C]``, and the states that they are
          decoded from, ``[B, T-1, ...]``: x and v of oscillators.

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

    def _observe(self, images: jax.Array) -> tuple[State, State]:
        """The cell driven by true frames: the last state and all, ``[B, T, ...]``."""
        if images.shape[1] < max(self.num_ic, 1):
            raise UserError(
                f"got {images.shape[1]} observed frames; the initial-condition network "
                f"reads {max(self.num_ic, 1)}"
            )
        codes = self.encoder(images)
        start, drives = self._start(codes), self._drive(codes)
        if hasattr(self.cell, "solve"):  # linear: all steps at once
            return self.cell.solve(start, drives)
        return unroll(self.cell.step, start, drives, remat=self.remat)

    def _start(self, codes: jax.Array) -> State:
        """The state before frame 0, from the first codes read backwards in time."""
        if self.initial is None:
            shape = (codes.shape[0], *self.cell.input_shape)
            return self.cell.initialize_carry(shape)
        drives = self.initial.drive(codes[:, self.num_ic - 1 :: -1])
        rest = jnp.zeros((codes.shape[0], self.initial.units), codes.dtype)
        flat, _ = unroll_scan(self.initial.scan, rest, drives, remat=self.remat)
        return self.cell.unflatten(flat)

    def _run_freely(self, state: State, steps: int) -> tuple[jax.Array, State]:
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

    def _readout(self, state: State) -> jax.Array:
        if self.decode == "state":
            return self.cell.flatten(state)
        output = self.cell.output(state)
        lead = output.ndim - len(self.cell.output_shape)
        return output.reshape(*output.shape[:lead], -1)

    def _decode(self, state: State) -> jax.Array:
        return self.decoder(self._readout(state))

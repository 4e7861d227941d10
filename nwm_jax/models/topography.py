"""The variational Neural Wave Machine: infer a drive, oscillate, predict the next frame.

With u_t an image and LN the layer norm without weights,

    z_t ~ q(z | u_t) = Normal(mean(u_t), exp(logvar(u_t)))
    x_0 = LN(z),  v_0 = 0
    (x_{t+1}, v_{t+1}) = cell((x_t, v_t), LN(z_t))
    u_{t+1} ~ Bernoulli(sigmoid(decoder(x_{t+1})))

and the loss of a sequence is minus the bound on its likelihood, per frame. Keller &
Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), section 3 and appendix A.2.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from nwm_jax.core import elbo
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.oscillator_hparams import DEFAULT_DT, OscillatorHParams
from nwm_jax.core.unroll import unroll
from nwm_jax.errors import UserError, unknown
from nwm_jax.models.compiled import compiled
from nwm_jax.models.names import STARTS
from nwm_jax.modules.layers import chain, linears
from nwm_jax.modules.oscillator_cell import OscillatorCell

KINDS = {"nwm2d": "torus", "nwm1d": "ring"}


class Run(NamedTuple):
    """What happens to a batch of sequences; n = T steps (T - 1 if it starts with frame 1).

    Attributes:
      states: positions and velocities after every step, ``[B, n, H, W, 1]`` each.
      logits: of the predictions, ``[B, n, *image_shape]``.
      targets: the frames that were predicted, the same shape: the next ones, and after
        the last one the first.
      inputs: the normalised samples that drove the field, ``[B, n, H, W, 1]``.
      kl: divergence of the posterior from the prior at every step, nats, ``[B, n]``.
    """

    states: OscillatorState
    logits: jax.Array
    targets: jax.Array
    inputs: jax.Array
    kl: jax.Array


class VariationalNWM(nnx.Module):
    """The equations at the top of this file.

    Images are ``[B, T, *image_shape]``, float32 in [0, 1].

    Args:
      cell: the field.
      image_shape: (h, w, 1).
      encoder: widths of the hidden layers between image and posterior, with ReLU; none:
        linear.
      decoder: the same between positions and image.
      start: of `models.names.STARTS`.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.
      rngs: draws the weights, as PyTorch draws linear layers.
      types: param_dtype and dtype of all layers beside the cell, see
        `modules.layers.Linear`.

    Raises:
      UserError: an unknown `start`.
    """

    def __init__(
        self,
        cell: OscillatorCell,
        image_shape: tuple[int, int, int],
        *,
        encoder: Sequence[int] = (),
        decoder: Sequence[int] = (),
        start: str = "repeat",
        remat: int = 0,
        rngs: nnx.Rngs,
        **types: Any,
    ) -> None:
        if start not in STARTS:
            raise unknown("start", start, STARTS)
        self.cell = cell
        self.image_shape = tuple(image_shape)
        self.start = start
        self.remat = remat
        pixels, units = math.prod(image_shape), math.prod(cell.output_shape)
        torch = {"init": "torch", "rngs": rngs, **types}
        self.encoder = linears([pixels, *encoder, 2 * units], **torch)
        self.decoder = linears([units, *decoder, pixels], **torch)

    def encode(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The posterior of every image: mean and log-variance, ``[..., H, W, 1]``."""
        flat = images.reshape(*images.shape[:-3], -1)
        both = chain(self.encoder, jax.nn.relu, flat)
        shape = (*flat.shape[:-1], *self.cell.output_shape)
        mean, logvar = jnp.split(both, 2, axis=-1)
        return mean.reshape(shape), logvar.reshape(shape)

    def decode(self, x: jax.Array) -> jax.Array:
        """Logits of the image that positions ``[..., H, W, 1]`` stand for."""
        flat = x.reshape(*x.shape[:-3], -1)
        logits = chain(self.decoder, jax.nn.relu, flat)
        return logits.reshape(*x.shape[:-3], *self.image_shape)

    def run(self, images: jax.Array, key: jax.Array | None = None) -> Run:
        """Infers, oscillates and predicts.

        Args:
          images: whole periods, ``[B, T, *image_shape]``.
          key: draws from the posteriors; None: their means are taken.

        Returns:
          See `Run`.

        Raises:
          UserError: images of another shape, or fewer than 2 frames.
        """
        shape = (*images.shape[:2], *self.image_shape)
        if images.shape != shape or images.shape[1] < 2:
            raise UserError(
                "sequences must be [B, T, "
                f"{', '.join(map(str, self.image_shape))}] with T at least 2 and are "
                f"{images.shape}"
            )
        mean, logvar = self.encode(images)
        first, z = mean[:, 0], mean
        if key is not None:
            # x_0 is a draw of its own, beside that which drives the first step.
            now, later = jax.random.split(key)
            deviation = jnp.exp(0.5 * logvar)
            first = first + deviation[:, 0] * jax.random.normal(
                now, first.shape, first.dtype
            )
            z = z + deviation * jax.random.normal(later, z.shape, z.dtype)
        targets = jnp.roll(images, -1, axis=1)
        kl = jnp.sum(elbo.kl_to_standard_normal(mean, logvar), axis=(-3, -2, -1))
        if self.start == "next":
            z, targets, kl = z[:, 1:], targets[:, 1:], kl[:, 1:]
        inputs = elbo.standardise(z, 3)
        x = elbo.standardise(first, 3)
        state = OscillatorState(x, jnp.zeros_like(x))
        drives = self.cell.drive(inputs)
        _, states = unroll(self.cell.step, state, drives, remat=self.remat)
        return Run(states, self.decode(states.x), targets, inputs, kl)

    def terms(
        self, images: jax.Array, key: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        """The terms of the bound, frame by frame.

        Args:
          images: ``[B, T, *image_shape]``.
          key: as in `run`.

        Returns:
          {"nll", "kl", "loss"}: nats per frame, ``[B, n]``, loss = nll + kl.
        """
        run = self.run(images, key)
        pixels = elbo.bernoulli_nll(run.logits, run.targets)
        nll = jnp.sum(pixels, axis=(-3, -2, -1))
        return {"nll": nll, "kl": run.kl, "loss": nll + run.kl}

    def reconstruct(self, images: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """The predictions of `run` as probabilities in [0, 1], ``[B, n, *image_shape]``.

        Prediction t is of frame t + 1 (of frame 0 after the last one; with the start
        "next" of frame t + 2).
        """
        return jax.nn.sigmoid(self.run(images, key).logits)

    @compiled
    def states(self, images: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """The positions of `run`, ``[B, n, H, W, 1]``, for the analysis."""
        return self.run(images, key).states.x


def topographic_cell(
    kind: str,
    grid: tuple[int, int],
    *,
    kernel_size: int = 3,
    kernel_fill: float = 0.0,
    dt: float = DEFAULT_DT,
    **options: Any,
) -> OscillatorCell:
    """Returns one channel of oscillators whose input is a field of their own shape.

    "nwm2d": a torus; the three kernels are k x k, and b is a number per oscillator.
    "nwm1d": rings on which every oscillator hears its next neighbour alone, never itself:
    the kernels are (0, 0, m) with one number m each, 1 at first, and b is one profile
    along the ring, the same on all rings. So activity travels towards lower indices.
    With `state_norm` positions are normalised after every step, velocities are not.

    Args:
      kind: "nwm2d" or "nwm1d".
      grid: (H, W), or (number of rings, oscillators of a ring).
      kernel_size: k, odd; 3 of "nwm1d".
      kernel_fill: first taps of "nwm2d"; 0: 1/(H W).
      dt: first step size, in (0, 1).
      options: further arguments of `OscillatorCell`; nothing is drawn.

    Raises:
      UserError: an unknown kind, or sizes that do not fit together.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), section 3
    and appendix A.2.
    """
    if kind not in KINDS:
        raise unknown("kind of cell", kind, KINDS)
    rings = kind == "nwm1d"
    fill = 1.0 if rings else kernel_fill or 1.0 / max(1, math.prod(grid))
    hparams = OscillatorHParams(
        KINDS[kind],
        grid,
        kernel_size=kernel_size,
        kernel_fill=fill,
        dt=dt,
        taps="next" if rings else "all",
    )
    return OscillatorCell(hparams, init="constant", rngs=nnx.Rngs(0), **options)


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
    **types: Any,
) -> VariationalNWM:
    """Builds the model that a config describes.

    Args:
      model: the config's `model`: name ("nwm2d" or "nwm1d"), grid, kernel_size,
        state_norm, dt and kernel_fill (at first), encoder, decoder, start.
      image_shape: (h, w, 1).
      conv: implementation of the couplings, see `core.coupling.couple`.
      remat: block length of rematerialisation in time; 0 = off.
      rngs: draws the weights.
      types: param_dtype and dtype of the whole model, see `modules.layers.Linear`.

    Returns:
      The model.

    Raises:
      UserError: unknown names, or sizes that do not fit together.
    """
    cell = topographic_cell(
        model.name,
        tuple(model.grid),
        kernel_size=model.kernel_size,
        state_norm=model.state_norm,
        dt=model.dt,
        kernel_fill=model.kernel_fill,
        implementation=conv,
        **types,
    )
    return VariationalNWM(
        cell,
        image_shape,
        encoder=tuple(model.encoder),
        decoder=tuple(model.decoder),
        start=model.start,
        remat=remat,
        rngs=rngs,
        **types,
    )

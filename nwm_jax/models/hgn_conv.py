"""The original Hamiltonian Generative Network: a latent image, trained with GECO.

Toth et al. (arXiv:1909.13789) as reimplemented in the benchmark (arXiv:2111.05458):
31 frames are observed, the state of the last one is a coarse image of positions and
momenta, and the observed frames are decoded from its past.

The benchmark averages the first batches' constraint into C_ema before training (burn-in).
We do not: its smoothing is 0, and no gradient depends on C_ema, only the loss that is
shown.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.errors import UserError
from nwm_jax.models.dynamics import Hamiltonian
from nwm_jax.models.latent_model import LatentModel
from nwm_jax.modules.autoencoder import PlanesDecoder, coarse_shape
from nwm_jax.modules.layers import ConvStack

# Of the coarse image: the energies halve it twice.
_SMALLEST_SIDE = 4


@jax.custom_vjp
def geco_product(
    multiplier: jax.Array, average: jax.Array, constraint: jax.Array
) -> jax.Array:
    """GECO's term of the loss, ``multiplier average``, with gradients of its own.

    With C the constraint, the gradient is -C at the multiplier, so that descent makes
    it grow while the constraint is broken; 0 at the average of C; and the multiplier at
    C (arXiv:1810.00597, algorithm 1).

    Args:
      multiplier: lambda > 0, a scalar.
      average: C_ema, the moving average of the constraint, a scalar.
      constraint: C of this batch, a scalar, to be brought to 0 or below.

    Returns:
      The product, a scalar.
    """
    return multiplier * average


def _geco_forward(multiplier, average, constraint):
    return multiplier * average, (multiplier, constraint)


def _geco_backward(residuals, g):
    multiplier, constraint = residuals
    return -g * constraint, jnp.zeros_like(g), g * multiplier


geco_product.defvjp(_geco_forward, _geco_backward)


class ConvEnergy(ConvStack):
    """An energy of coarse images: ``[..., h, w, c] -> [...]``, h and w >= 4.

    Args:
      inputs: c.
      channels: channels of the widest convolutions.
      conv: implementation of the convolutions, see `modules.conv.conv`; "bf16" is "auto".
      options: rngs, and others of `modules.layers.Conv`.
    """

    def __init__(
        self, inputs: int, channels: int, *, conv: str = "auto", **options: Any
    ) -> None:
        layers = [
            (channels // 2, 3, 1, "SAME"),
            (channels, 2, 2, "VALID"),
            (channels, 2, 1, "SAME"),
            (channels, 2, 2, "VALID"),
            (1, 2, 1, "SAME"),
        ]
        # A force is a difference of energies: no energy of rounded products.
        conv = "auto" if conv == "bf16" else conv
        super().__init__(inputs, layers, nnx.softplus, implementation=conv, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., h, w, c]`` to ``[...]``."""
        return jnp.sum(super().__call__(x), axis=(-3, -2, -1))


class ConvHGN(LatentModel):
    """See the top of the file.

    Args:
      image_shape: (H, W, C), sides multiples of 8, at least 32.
      latent_channels: channels of the state, even: half positions, half momenta.
      channels: channels of the widest convolutions (64 in the benchmark).
      num_observed: frames that are observed.
      num_target: frames to give in training beyond the observed ones.
      integrator: "dopri5" or any name of `core.integrators`.
      dt: time between frames, in the units of the dynamics.
      kappa: the squared error for each pixel that training aims at.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time; 0 = off.
      param_dtype: type of the weights and of `average`.
      dtype: type of the arithmetic; None: that of the weights.
      rngs: draws the weights.

    Attributes:
      average: C_ema, a variable that is no parameter: the constraint of the last step.

    Raises:
      UserError: images that are too small, odd channels, unknown integrator.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_channels: int,
        channels: int,
        num_observed: int,
        num_target: int,
        integrator: str,
        dt: float,
        kappa: float,
        conv: str = "auto",
        remat: int = 0,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.coarse_shape = coarse_shape(image_shape)
        if min(self.coarse_shape) < _SMALLEST_SIDE:
            raise UserError(
                f"images are {image_shape[0]}x{image_shape[1]}, but hgn_conv needs at "
                f"least {8 * _SMALLEST_SIDE}x{8 * _SMALLEST_SIDE}"
            )
        if latent_channels < 2 or latent_channels % 2 or channels % 2:
            raise UserError(
                f"hgn_conv needs even channels, got latent_channels {latent_channels} "
                f"and conv_channels {channels}"
            )
        half = latent_channels // 2
        options: dict[str, Any] = {
            "param_dtype": param_dtype,
            "dtype": dtype,
            "rngs": rngs,
        }
        hidden = [channels // 2, *[channels] * 4, 2 * latent_channels]
        shapes = [(2, 2, "VALID"), (4, 1, "SAME")] * 3
        encoder = ConvStack(
            image_shape[-1] * num_observed,
            [(outputs, *shape) for outputs, shape in zip(hidden, shapes, strict=False)],
            nnx.relu,
            implementation=conv,
            **options,
        )
        kinetic, potential = (
            ConvEnergy(half, channels, conv=conv, **options) for _ in range(2)
        )
        decoder = PlanesDecoder(
            image_shape,
            planes=half,
            channels=channels,
            slope=0.2,
            conv=conv,
            **options,
        )
        super().__init__(
            encoder,
            Hamiltonian(kinetic, potential, integrator=integrator, remat=remat),
            decoder,
            num_observed=num_observed,
            num_target=num_target,
            training="forward",
            split="include_inference",
            dt=dt,
            beta=1.0,
        )
        self.transform = ConvStack(
            latent_channels,
            [channels] * 4 + [latent_channels],
            nnx.relu,
            implementation=conv,
            **options,
        )
        # softplus(raw) = 1.
        raw = jnp.asarray(math.log(math.expm1(1.0)), param_dtype)
        self.raw_multiplier = nnx.Param(raw)
        self.kappa = kappa
        self.average = nnx.Variable(jnp.zeros((), param_dtype))

    def loss(
        self, images: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """GECO's loss, ``lambda C_ema + KL / (T H W C)`` with C = mse - kappa.

        Its gradients are those of `geco_product`. Sets `average`.

        Args:
          images: ``[B, train_length, H, W, C]`` in [0, 1].
          key: draws z.

        Returns:
          The loss; the metrics of `LatentModel.evidence` and "multiplier", lambda.

        Raises:
          UserError: clips of another length.
        """
        _, metrics = self.evidence(images, key)
        constraint = metrics["mse"] - self.kappa
        raw = self.raw_multiplier[...].astype(constraint.dtype)
        multiplier = jax.nn.softplus(raw)
        average = jax.lax.stop_gradient(constraint)
        self.average.set_value(average.astype(self.average[...].dtype))
        loss = geco_product(multiplier, average, constraint) + metrics["kl"]
        return loss, metrics | {"multiplier": multiplier}

    def _start(self, z: jax.Array) -> jax.Array:
        return self.transform(z)

    def _flatten(self, states: jax.Array) -> jax.Array:
        halves = jnp.split(states, 2, axis=-1)
        return jnp.concatenate(
            [half.reshape(*half.shape[:-3], -1) for half in halves], axis=-1
        )

    def _unflatten(self, z: jax.Array) -> jax.Array:
        halves = jnp.split(z, 2, axis=-1)
        return jnp.concatenate(
            [half.reshape(*half.shape[:-1], *self.coarse_shape, -1) for half in halves],
            axis=-1,
        )

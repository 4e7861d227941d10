"""The benchmark's latent models from the `model` part of a config."""

from typing import Any

from flax import nnx

from nwm_jax.errors import UserError, unknown
from nwm_jax.models import hgn_conv
from nwm_jax.models.dynamics import (
    Dynamics,
    Hamiltonian,
    Lagrangian,
    NeuralODE,
    Recurrent,
)
from nwm_jax.models.latent_model import LatentModel
from nwm_jax.modules.autoencoder import Decoder, Encoder
from nwm_jax.modules.mlp import ScalarMLP

MODELS = ("hgn", "lgn", "ode", "rgn", "hgn_conv")


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    *,
    conv: str = "auto",
    remat: int = 0,
    rngs: nnx.Rngs,
) -> LatentModel:
    """Builds the latent model that a config describes.

    Args:
      model: the config's `model`: name, one of `MODELS`; latent, units, layers,
        conv_channels, num_observed, num_target, split, beta; training, dt and integrator
        (hgn, lgn, ode) or residual (rgn). hgn_conv: see `models.hgn_conv.build`.
      image_shape: (H, W, C) of the data.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      remat: block length of rematerialisation in time; 0 = off.
      rngs: draws the weights.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or settings that do not fit each other.
    """
    if model.name not in MODELS:
        raise unknown("latent model", model.name, MODELS)
    if model.name == "hgn_conv":
        return hgn_conv.build(model, image_shape, conv=conv, remat=remat, rngs=rngs)
    if model.latent < 2 or model.latent % 2:
        raise UserError(f"model.latent is {model.latent}, but must be even, at least 2")
    height, width, channels = image_shape
    dynamics = _dynamics(model, remat, rngs)
    networks = {"channels": model.conv_channels, "conv": conv, "rngs": rngs}
    half = model.latent // 2
    map_only = model.name == "rgn"
    return LatentModel(
        Encoder(
            (height, width, channels * model.num_observed), 2 * model.latent, **networks
        ),
        dynamics,
        Decoder(
            half if dynamics.pairing else model.latent,
            image_shape,
            planes=half,
            **networks,
        ),
        num_observed=model.num_observed,
        num_target=model.num_target,
        training="forward" if map_only else model.training,
        split=model.split,
        dt=1.0 if map_only else model.dt,
        beta=model.beta,
    )


def _dynamics(model: Any, remat: int, rngs: nnx.Rngs) -> Dynamics:
    sizes = {"units": model.units, "layers": model.layers, "rngs": rngs}
    if model.name == "rgn":
        return Recurrent(model.latent, residual=model.residual, remat=remat, **sizes)
    solver = {"integrator": model.integrator, "remat": remat}
    half = model.latent // 2
    if model.name == "hgn":
        kinetic, potential = (ScalarMLP(half, **sizes) for _ in range(2))
        return Hamiltonian(kinetic, potential, **solver)
    if model.name == "lgn":
        return Lagrangian(half, **solver, **sizes)
    return NeuralODE(model.latent, **solver, **sizes)

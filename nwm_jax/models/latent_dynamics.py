"""The benchmark's latent models from the `model` part of a config."""

from typing import Any

from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.models.dynamics import (
    Dynamics,
    Hamiltonian,
    Lagrangian,
    NeuralODE,
    Recurrent,
)
from nwm_jax.models.hgn_conv import ConvHGN
from nwm_jax.models.latent_model import LatentModel
from nwm_jax.models.names import PAIRED
from nwm_jax.modules.autoencoder import Decoder, Encoder
from nwm_jax.modules.layers import MLP, ScalarMLP


def build(
    model: Any,
    image_shape: tuple[int, int, int],
    *,
    conv: str,
    remat: int,
    rngs: nnx.Rngs,
    **types: Any,
) -> LatentModel:
    """Builds the latent model that a config describes, for `models.forecasting.build`.

    Args:
      model: the config's `model`: name, one of `models.names.LATENT`; conv_channels,
        num_observed, num_target. hgn_conv: latent_channels, dt, integrator, kappa. The
        others: latent, units, layers, split, beta; training, dt and integrator (hgn,
        lgn, ode) or residual (rgn).
      image_shape: (H, W, C); this and the rest as there.

    Raises:
      UserError: settings that do not fit each other.
    """
    if model.name == "hgn_conv":
        return ConvHGN(
            image_shape,
            latent_channels=model.latent_channels,
            channels=model.conv_channels,
            num_observed=model.num_observed,
            num_target=model.num_target,
            integrator=model.integrator,
            dt=model.dt,
            kappa=model.kappa,
            conv=conv,
            remat=remat,
            rngs=rngs,
            **types,
        )
    if model.latent < 2 or (model.name in PAIRED and model.latent % 2):
        wanted = "even and at least 2" if model.name in PAIRED else "at least 2"
        raise UserError(f"model.latent={model.latent} must be {wanted}")
    height, width, channels = image_shape
    dynamics = _dynamics(model, remat, rngs=rngs, **types)
    networks = {"channels": model.conv_channels, "conv": conv, "rngs": rngs, **types}
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


def _dynamics(model: Any, remat: int, **options: Any) -> Dynamics:
    hidden = [model.units] * (model.layers - 1)

    def network(inputs: int, outputs: int) -> MLP:
        return MLP([inputs, *hidden, outputs], **options)

    def scalar(inputs: int) -> ScalarMLP:
        return ScalarMLP([inputs, *hidden], **options)

    if model.name == "rgn":
        net = network(model.latent, model.latent)
        return Recurrent(net, residual=model.residual, remat=remat)
    solver = {"integrator": model.integrator, "remat": remat}
    half = model.latent // 2
    if model.name == "hgn":
        return Hamiltonian(scalar(half), scalar(half), **solver)
    if model.name == "lgn":
        entries = half * (half + 1) // 2
        return Lagrangian(network(half, entries), scalar(half), **solver)
    return NeuralODE(network(model.latent, model.latent), **solver)

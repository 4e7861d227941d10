"""The original's latent models: names of their arrays, sizes, and builders.

Botev et al., arXiv:2111.05458: hgn (HGN and HGN++), lgn, ode (and ODE[TR]), rgn.
"""

import re
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.interop import image_networks
from nwm_jax.interop.image_networks import Arrays, agreed
from nwm_jax.models import ForecastModel
from nwm_jax.models.dynamics import Hamiltonian, Lagrangian, NeuralODE, Recurrent
from nwm_jax.models.forecasting import build as build_model
from nwm_jax.models.hgn_conv import ConvHGN
from nwm_jax.models.latent_model import LatentModel

# Networks of the dynamics: the original's module -> our path.
_POTENTIAL = {"Physics/~/PotentialNet": "dynamics/potential"}
_NETWORKS = {
    "hgn": {"Physics/~/KineticNet": "dynamics/kinetic"} | _POTENTIAL,
    # The network of the LGN's kinetic energy gives a factor of the mass matrix.
    "lgn": {"Physics/~/MatrixNet": "dynamics/kinetic"} | _POTENTIAL,
    "ode": {"ODE/~/Net": "dynamics/net"},
    "rgn": {"Discrete/~/Net": "dynamics/net"},
}
_KINDS = {"hgn": Hamiltonian, "lgn": Lagrangian, "ode": NeuralODE, "rgn": Recurrent}
_INTEGRATORS = {"hgn": "leapfrog", "lgn": "midpoint", "ode": "dopri5", "rgn": None}
# Integrators that the original calls otherwise than we do.
_THEIRS = {"rk2": "midpoint", "adaptive": "dopri5"}
MODELS = tuple(_NETWORKS)

# Overrides, and what is taken where nobody says; num_inference_steps is then read off
# the encoder, and the integrator, by our name or the original's, is its default.
OPTIONS = {
    "num_inference_steps": None,
    "num_target_steps": 60,
    "latent_training_type": "forward",
    "training_data_split": "overlap_by_one",
    "dt": 0.125,
    "integrator": None,
    "residual": True,
    "beta": 1.0,
    "conv": "auto",
}


def settle(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Fills in the options that depend on the model.

    Args:
      model: one of `MODELS`.
      options: values for all of `OPTIONS`.

    Returns:
      The options, with our name of the integrator, the model's own if there was none.
    """
    chosen = options["integrator"] or _INTEGRATORS[model]
    return dict(options) | {"integrator": chosen and _THEIRS.get(chosen, chosen)}


def names(
    model: str, given: Iterable[str], options: Mapping[str, Any]
) -> dict[str, str]:
    """The original's names of all arrays of a model, with the paths of ours.

    Args:
      model: one of `MODELS`.
      given: the names (or our paths) that there are; they tell the number of layers.
      options: settled options; they do not matter here.

    Returns:
      {"module:name" of the original: "a/b/c" path in our pytree of parameters}.
    """
    layer = re.compile(r".*/ff_(\d+):w|dynamics/.*/layers/(\d+)/kernel")
    result = [
        int(match[1] or match[2]) for match in map(layer.fullmatch, given) if match
    ]
    return image_networks.NAMES | {
        f"{module}/~/ff_{number}:{theirs}": f"{path}/layers/{number}/{ours}"
        for module, path in _NETWORKS[model].items()
        for number in range(max(result, default=0) + 1)
        for theirs, ours in (("w", "kernel"), ("b", "bias"))
    }


def build(model: str, arrays: Arrays, options: Mapping[str, Any]) -> ForecastModel:
    """A model of the sizes that the arrays show; its weights do not matter.

    Args:
      model: one of `MODELS`.
      arrays: the arrays by our paths, of the right ranks.
      options: settled options.

    Raises:
      UserError: sizes that contradict the options, or options that do not go together.
    """
    image_shape = image_networks.image_shape(arrays)
    inputs = arrays["encoder/convs/0/kernel"].shape[-2]
    observed = options["num_inference_steps"] or inputs // image_shape[-1]
    if observed * image_shape[-1] != inputs:
        raise UserError(
            f"Encoder/~/block_0/~/conv_2d_0:w has {inputs} inputs, expected "
            f"{observed * image_shape[-1]} for num_inference_steps = {observed} frames "
            f"of {image_shape[-1]} channels"
        )
    network = next(iter(_NETWORKS[model].values()))
    layers = sum(
        path.startswith(f"{network}/") and path.endswith("/kernel") for path in arrays
    )
    hidden = [
        array.shape[-1]
        for path, array in arrays.items()
        if path.startswith("dynamics/") and f"/layers/{layers - 1}/" not in path
    ]
    config = SimpleNamespace(
        name=model,
        latent=image_networks.features(arrays) // 2,
        units=agreed(hidden),
        layers=layers,
        conv_channels=image_networks.conv_channels(arrays),
        num_observed=observed,
        num_target=options["num_target_steps"],
        training=options["latent_training_type"],
        split=options["training_data_split"],
        dt=options["dt"],
        integrator=options["integrator"],
        residual=options["residual"],
        beta=options["beta"],
    )
    return build_model(config, image_shape, conv=options["conv"], rngs=nnx.Rngs(0))


def identify(module: nnx.Module) -> tuple[str, dict[str, Any]] | None:
    """The name of a model in the original's words, and its options; None if not ours."""
    if not isinstance(module, LatentModel) or isinstance(module, ConvHGN):
        return None
    dynamics = module.dynamics
    model = next(name for name, kind in _KINDS.items() if isinstance(dynamics, kind))
    overlap = module.split == "overlap_by_one"
    return model, OPTIONS | {
        "num_inference_steps": module.num_observed,
        "num_target_steps": module.train_length - module.num_observed + overlap,
        "latent_training_type": module.training,
        "training_data_split": module.split,
        "dt": module.dt,
        "integrator": getattr(dynamics, "integrator", None),
        "residual": getattr(dynamics, "residual", True),
        "beta": module.beta,
    }

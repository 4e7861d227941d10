"""Tiny latent models, as configs would describe them."""

import math
from types import SimpleNamespace

import jax
import numpy as np
from flax import nnx

from nwm_jax.models.forecasting import build
from nwm_jax.models.latent_model import LatentModel
from nwm_jax.modules import functional

INTEGRATORS = {"hgn": "leapfrog", "lgn": "midpoint", "ode": "dopri5", "rgn": ""}
BOTH_WAYS = {"training": "forward_backward", "split": "include_inference"}


def config(name: str, **changes: object) -> SimpleNamespace:
    """Latent 4, three frames observed and six to give, or the original HGN's like."""
    if name == "hgn_conv":
        fields = {"latent_channels": 4, "conv_channels": 4, "num_observed": 3}
        fields |= {"num_target": 0, "dt": 0.125, "integrator": "leapfrog"}
        fields |= {"kappa": 1e-3}
    else:
        fields = {"latent": 4, "units": 6, "layers": 3, "conv_channels": 3}
        fields |= {"num_observed": 3, "num_target": 6, "training": "forward"}
        fields |= {"split": "overlap_by_one", "dt": 0.125, "beta": 1.0}
        fields |= {"integrator": INTEGRATORS[name], "residual": True}
    return SimpleNamespace(**fields | {"name": name} | changes)


def shapes(name: str, side: int = 8, remat: int = 0, **changes: object) -> LatentModel:
    """Such a model of coloured images, `side` pixels square, without numbers in it."""
    model, image_shape = config(name, **changes), (side, side, 3)
    return nnx.eval_shape(
        lambda: build(model, image_shape, conv="xla", remat=remat, rngs=nnx.Rngs(0))
    )


def make(name: str, **changes: object) -> LatentModel:
    """The same with weights at which the images matter (and none is zero)."""
    graphdef, params, state = functional.split(shapes(name, **changes))
    rng = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        spread = 1.5 / math.sqrt(math.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 0.2
        return (spread * rng.standard_normal(leaf.shape)).astype(np.float32)

    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)
    return functional.merge(graphdef, jax.tree.map(draw, params), zeros)

"""A recurrent cell of your own as a model of the forecasting benchmark.

    python -m nwm_jax.train --config=examples/own_cell.py:smoke --workdir=runs/own_cell
    python -m nwm_jax.evaluate --config=examples/own_cell.py --workdir=runs/own_cell
    python -m nwm_jax.table --config=examples/own_cell.py --runs='runs/*'

The cell is the minimal gated unit (arXiv:1603.09420). With u the input and h the state:

    f  = sigmoid(W_f u + U_f h)
    h' = (1 - f) h + f tanh(W_h u + U_h (f h))
"""

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.experiments import forecasting
from nwm_jax.experiments.forecasting import configs
from nwm_jax.models.forecasting import from_cell


class MinimalGatedCell(nnx.Module):
    """A `nwm_jax.modules.cells.RecurrentCell` whose state is one vector.

    Args:
      units: numbers in the state, and in one input.
      rngs: draws the weights.
    """

    def __init__(self, units: int, *, rngs: nnx.Rngs) -> None:
        self.input_shape = self.output_shape = (units,)
        self.state_size = units
        self.inputs = nnx.Linear(units, 2 * units, rngs=rngs)
        self.forget = nnx.Linear(units, units, use_bias=False, rngs=rngs)
        self.candidate = nnx.Linear(units, units, use_bias=False, rngs=rngs)

    def initialize_carry(self, input_shape: tuple[int, ...]) -> jax.Array:
        """Returns zeros ``[B, units]``."""
        return jnp.zeros(input_shape)

    def drive(self, inputs: jax.Array) -> jax.Array:
        """Returns ``[W_f u, W_h u]`` for all times at once, ``[..., 2 units]``."""
        return self.inputs(inputs)

    def step(self, state: jax.Array, drive: jax.Array) -> jax.Array:
        """Returns the next state, ``[..., units]``."""
        to_forget, to_candidate = jnp.split(drive, 2, axis=-1)
        f = jax.nn.sigmoid(to_forget + self.forget(state))
        return (1 - f) * state + f * jnp.tanh(to_candidate + self.candidate(f * state))

    def output(self, state: jax.Array) -> jax.Array:
        """Returns the state, which is the output."""
        return state

    def flatten(self, state: jax.Array) -> jax.Array:
        """Returns the state, which is a vector."""
        return state

    def unflatten(self, flat: jax.Array) -> jax.Array:
        """Returns the vector, which is a state."""
        return flat


forecasting.register_model(
    "minimal_gated",
    fields={
        "units": 64,
        "conv_channels": 64,
        "num_observed": 31,
        "num_ic": 31,
        "num_target": 60,
    },
    build=from_cell(lambda model, rngs: MinimalGatedCell(model.units, rngs=rngs)),
)


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config on the spring; `argument` is ``preset,field=value,...``."""
    return configs.get_config("spring", "minimal_gated", argument)

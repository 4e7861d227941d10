"""Layers of gated or plain recurrent cells on top of each other, as one cell."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.errors import UserError, unknown
from nwm_jax.modules.gated import GRUCell, LSTMCell, VanillaCell, VectorCell

KINDS = {"vanilla": VanillaCell, "lstm": LSTMCell, "gru": GRUCell}

State = tuple[Any, ...]


class StackedCell(VectorCell):
    """The benchmark's recurrent network (arXiv:2111.05458): swish between its layers.

        s_1' = cell_1(s_1, u);  s_l' = cell_l(s_l, swish(h_{l-1}'));  the output is h_L'

    `cell(carry, inputs) -> (carry, outputs)`; the carry is a tuple of the layers'
    states. Like the fields of oscillators it shows its parts to a model.

    Args:
      kind: "vanilla" (ReLU), "lstm" or "gru", see `core.gated`.
      inputs: F, length of an input.
      widths: units of every layer; the last is the length of the output.
      param_dtype: type of the weights.
      dtype: type of states and arithmetic; None: that of the weights.
      rngs: draws the weights.

    Raises:
      UserError: unknown kind, or widths that are not one or more numbers >= 1.
    """

    def __init__(
        self,
        kind: str,
        inputs: int,
        widths: tuple[int, ...],
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        if kind not in KINDS:
            raise unknown("kind of cell", kind, KINDS)
        if not widths or min(inputs, *widths) < 1:
            raise UserError(
                f"a stack needs one layer or more of 1 unit or more, got {inputs} "
                f"inputs and layers of {list(widths)}"
            )
        self.inputs = inputs
        self.widths = tuple(widths)
        types: dict[str, Any] = {"param_dtype": param_dtype, "dtype": dtype}
        self.layers = nnx.List(
            KINDS[kind](lower, upper, **types, rngs=rngs)
            for lower, upper in itertools.pairwise((inputs, *widths))
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input without batch and time: (F,)."""
        return (self.inputs,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one output without batch and time."""
        return self.widths[-1:]

    @property
    def state_dtype(self) -> jnp.dtype:
        """Type of states, and of the inputs once they are inside."""
        return self.layers[0].state_dtype

    @property
    def state_size(self) -> int:
        """Numbers in the states of all layers."""
        return sum(layer.state_size for layer in self.layers)

    def drive(self, inputs: jax.Array) -> jax.Array:
        """The inputs' part of the first layer's gates, for any number of times."""
        return self.layers[0].drive(inputs)

    def step(self, state: State, drive: jax.Array) -> State:
        """One time step of all layers."""
        states = [self.layers[0].step(state[0], drive)]
        for below, layer, own in zip(
            self.layers, self.layers[1:], state[1:], strict=False
        ):
            inputs = nnx.swish(below.output(states[-1]))
            states.append(layer.step(own, layer.drive(inputs)))
        return tuple(states)

    def output(self, state: State) -> jax.Array:
        """The last layer's output, ``[..., widths[-1]]``."""
        return self.layers[-1].output(state[-1])

    def flatten(self, state: State) -> jax.Array:
        """States to one vector, layer after layer (h before c): ``[..., state_size]``."""
        return jnp.concatenate(
            [layer.flatten(own) for layer, own in zip(self.layers, state, strict=True)],
            axis=-1,
        )

    def unflatten(self, flat: jax.Array) -> State:
        """Vector to states, the inverse of `flatten`."""
        ends = itertools.accumulate(layer.state_size for layer in self.layers)
        parts = jnp.split(flat, list(ends)[:-1], axis=-1)
        return tuple(
            layer.unflatten(part)
            for layer, part in zip(self.layers, parts, strict=True)
        )

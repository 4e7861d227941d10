"""What cells that keep the parameters of a core as `nnx.Param` share."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.errors import UserError

Params = TypeVar("Params")


def draw_carry(
    shape: tuple[int, ...],
    rngs: nnx.Rngs | nnx.RngStream | None,
    carry_init: nnx.Initializer | None,
    dtype: DTypeLike,
) -> jax.Array:
    """One array of a state: zeros, or drawn by `carry_init` from the stream `carry`."""
    if carry_init is None:
        return jnp.zeros(shape, dtype)
    if rngs is None:
        raise ValueError("carry_init needs rngs")
    key = rngs() if isinstance(rngs, nnx.RngStream) else rngs.carry()
    return carry_init(key, shape, dtype)


def check_inputs(cell: Any, inputs: jax.Array) -> jax.Array:
    """Returns inputs in the type of a cell's arithmetic.

    Raises:
      UserError: they do not end with the cell's `input_shape`.
    """
    shape = cell.input_shape
    if inputs.shape[-len(shape) :] != shape:
        raise UserError(
            f"{type(cell).__name__} takes inputs [..., "
            f"{', '.join(map(str, shape))}], but got {inputs.shape}"
        )
    return jnp.asarray(inputs, cell.state_dtype)


class _ClassSignature:
    """The arguments of a class, which NNX's metaclass hides from `help`."""

    def __get__(self, instance: Any, owner: type[nnx.RNNCellBase]) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        signature = inspect.signature(owner.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class CoreCell(nnx.RNNCellBase):
    """Keeps each array of a core's NamedTuple of parameters as a `nnx.Param`.

    Attributes:
      dtype: type of states and arithmetic; None: that of the weights.
    """

    dtype: DTypeLike | None = None
    __signature__ = _ClassSignature()

    def _store(self, params: Any) -> None:
        self._fields = params._fields
        for name, value in params._asdict().items():
            setattr(self, name, None if value is None else nnx.Param(value))

    def _load(self, kind: Callable[..., Params]) -> Params:
        return kind(
            *(
                None if getattr(self, name) is None else self._weight(name)
                for name in self._fields
            )
        )

    def _weight(self, name: str) -> jax.Array:
        """A weight in the type of the arithmetic."""
        return jnp.asarray(getattr(self, name)[...], self.dtype)

    @property
    def state_dtype(self) -> jnp.dtype:
        """Type of states, and of the inputs once they are inside."""
        if self.dtype is not None:
            return jnp.dtype(self.dtype)
        weights = (getattr(self, name) for name in self._fields)
        return next(weight.dtype for weight in weights if weight is not None)

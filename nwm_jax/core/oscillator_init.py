"""First weights of a field of oscillators, as each of the original programs draws them.

The benchmark's are those of `core.oscillator.init_params`. `whole` turns the weights that
a program keeps into those that the equations take.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nwm_jax.core import init as draws
from nwm_jax.core.oscillator import OscillatorParams, first_constants, init_params
from nwm_jax.core.oscillator_hparams import OscillatorHParams
from nwm_jax.errors import UserError, unknown

INITS = ("benchmark", "torch", "constant")
# The one tap of a ring that is not zero: a cell hears the one after it.
_NEXT = (0.0, 0.0, 1.0)

Extra = dict[str, jax.Array]


def draw(
    init: str,
    keys: Callable[[], jax.Array],
    hparams: OscillatorHParams,
    dtype: DTypeLike = jnp.float32,
) -> tuple[OscillatorParams, Extra]:
    """Draws first weights.

    Args:
      init: "benchmark", see `core.oscillator.init_params`. "torch": uniform within
        ±1/sqrt(fan in), like layers of PyTorch, as in the programs of the coRNN
        (arXiv:2010.00951) and of the sequences of Neural Wave Machines (ICML 2023);
        "dense" counts positions, velocities and inputs as one layer, and couplings by
        kernels have biases of their own: what does the same three times learns at
        another rate. "constant": all taps `kernel_fill`, biases 0, as in the program of
        topographic maps.
      keys: returns a new random key at each call.
      hparams: the description of the field.
      dtype: of the weights.

    Returns:
      The weights; and further ones, "bias_x" and "bias_v" ``[C]`` of a "torch" field with
      kernels.

    Raises:
      UserError: an unknown `init`, or a "constant" one of a "dense" field.
    """
    if init == "benchmark":
        return init_params(keys(), hparams, dtype), {}
    if init == "torch":
        return _like_torch(keys, hparams, dtype)
    if init != "constant":
        raise unknown("init", init, INITS)
    if hparams.topology == "dense":
        raise UserError("init 'constant' is for kernels: take a ring or a torus")
    rings = hparams.taps == "next"

    def kernel(inputs: int) -> jax.Array:
        shape = (*hparams.kernel_shape, inputs, hparams.channels)
        return jnp.full(() if rings else shape, hparams.kernel_fill, dtype)

    # On rings one profile serves all of them.
    bias = jnp.zeros(hparams.field_shape[rings:], dtype)
    params = OscillatorParams(
        coupling_x=kernel(hparams.channels),
        coupling_v=kernel(hparams.channels),
        forcing=kernel(hparams.input_channels),
        bias=bias,
        **first_constants(hparams, dtype),
    )
    return params, {}


def _like_torch(
    keys: Callable[[], jax.Array], hparams: OscillatorHParams, dtype: DTypeLike
) -> tuple[OscillatorParams, Extra]:
    inputs, field = hparams.input_channels, hparams.field_shape
    kernel = (*hparams.kernel_shape, hparams.channels, hparams.channels)
    # How many numbers meet in one sum, of the inputs and of the couplings.
    fan_in, neighbours = inputs, math.prod(kernel[:-1])
    if hparams.topology == "dense":
        kernel = (*field, *field)
        fan_in = neighbours = inputs + 2 * field[0]

    def coupling() -> Any:
        if hparams.taps == "one":
            return None  # nothing is learned: `whole` puts an array in its place
        if hparams.taps == "self":
            return jnp.ones(kernel, dtype)
        return draws.uniform(keys(), kernel, neighbours, dtype)

    params = OscillatorParams(
        coupling_x=coupling(),
        coupling_v=coupling(),
        forcing=draws.uniform(keys(), (inputs, math.prod(field)), fan_in, dtype),
        bias=draws.uniform(keys(), field, fan_in, dtype),
        **first_constants(hparams, dtype),
    )
    if hparams.topology == "dense" or hparams.taps != "all":
        return params, {}
    channels = (hparams.channels,)
    names = ("bias_x", "bias_v")
    return params, {
        name: draws.uniform(keys(), channels, neighbours, dtype) for name in names
    }


def whole(
    hparams: OscillatorHParams, params: OscillatorParams, extra: Extra
) -> OscillatorParams:
    """Returns the weights as `core.oscillator` takes them: whole kernels, one bias."""
    if extra:
        bias = params.bias + extra["bias_x"] + extra["bias_v"]
        params = params._replace(bias=bias)
    if hparams.taps == "one":
        one = jnp.ones((1, 1, 1), params.bias.dtype)
        params = params._replace(coupling_x=one, coupling_v=one)
    if hparams.taps == "next":
        taps = jnp.array(_NEXT, params.bias.dtype).reshape(3, 1, 1)
        kernels = {name: getattr(params, name) * taps for name in _KERNELS}
        params = params._replace(**kernels)
    return params


_KERNELS = ("coupling_x", "coupling_v", "forcing")

"""Counts the floating-point operations of a function from its equations.

XLA's own count takes the body of a loop once, however often it runs, and knows
nothing of custom gradients. Here every equation counts as often as it is run.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

# What only moves or reads numbers.
_MOVES = frozenset(
    [
        "broadcast_in_dim",
        "concatenate",
        "convert_element_type",
        "copy",
        "copy_p",
        "device_put",
        "dynamic_slice",
        "dynamic_update_slice",
        "gather",
        "iota",
        "pad",
        "reshape",
        "rev",
        "scatter",
        "slice",
        "split",
        "squeeze",
        "stop_gradient",
        "transpose",
        "optimization_barrier",
        "random_bits",
        "random_fold_in",
        "random_seed",
        "random_unwrap",
        "random_wrap",
        "threefry2x32",
        "shift_left",
        "shift_right_logical",
        "shift_right_arithmetic",
        "bitcast_convert_type",
    ]
)


def count(function: Callable, *args: Any) -> int:
    """Counts the operations of `function(*args)`, of which nothing is computed.

    A product of matrices or a convolution takes two for each pair of numbers that meet
    (of a convolution: inside of the image), a sum one for each summand, everything
    else one for each number that comes out. Loops whose length is known only at run
    time count once, branches as the dearest.

    Args:
      function: anything that JAX can trace.
      args: its arguments, or `jax.ShapeDtypeStruct`s in their place.

    Returns:
      The number of operations.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def count_by_xla(function: Callable, *args: Any) -> float:
    """Counts the operations of `function(*args)` as XLA does; 0 where it does not say.

    Args:
      function: see `count`.
      args: see `count`.
    """
    cost = jax.jit(function).lower(*args).cost_analysis()
    return cost["flops"] if cost else 0.0


def _count(jaxpr: Any) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    out = max(
        (v.aval.size for v in equation.outvars if hasattr(v.aval, "size")), default=0
    )
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * out * math.prod(shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    if name == "scan":
        return params["length"] * _count(params["jaxpr"].jaxpr)
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in params["branches"])
    inner = list(_inner(params.values()))
    if inner:
        return sum(map(_count, inner))
    if name in _MOVES:
        return 0
    if name.startswith(("reduce_", "cum", "arg")):
        return max(v.aval.size for v in equation.invars)
    return out


def _inner(values: Any) -> Iterator[Any]:
    """Returns the programs among the parameters of an equation."""
    for value in values:
        if hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr


def _of_convolution(equation: Any) -> int:
    """Counts two for each product of a weight and a pixel, none for padding."""
    params = equation.params
    numbers = params["dimension_numbers"]
    image, kernel = (v.aval.shape for v in equation.invars)
    out = equation.outvars[0].aval.shape
    pairs = 1
    for axis, pads in enumerate(params["padding"]):
        size = image[numbers.lhs_spec[2 + axis]]
        window = kernel[numbers.rhs_spec[2 + axis]]
        positions = np.arange(out[numbers.out_spec[2 + axis]])[:, None]
        place = (
            positions * params["window_strides"][axis]
            + np.arange(window) * params["rhs_dilation"][axis]
            - pads[0]
        )
        spread = params["lhs_dilation"][axis]
        inside = (place >= 0) & (place < spread * (size - 1) + 1)
        pairs *= int(np.sum(inside & (place % spread == 0)))
    batch, features = (out[axis] for axis in numbers.out_spec[:2])
    # With groups a kernel sees only its own part of the channels.
    return 2 * pairs * batch * features * kernel[numbers.rhs_spec[1]]

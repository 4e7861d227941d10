"""Methods of models that compile once for each shape, and what they check before.

A model that was loaded is called as it is: `model.forecast(images, 60)`. Without this
file every such call would trace and compile the scans inside it again.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.modules import devices, functional

# Programs that are kept, the last ones used; each takes some megabytes.
MOST_PROGRAMS = 16


def compiled(method: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a method ``method(model, array, ...)`` once for each shape.

    The programs of the last `MOST_PROGRAMS` combinations of method, model structure,
    shapes and numbers are kept, for all models of a process together: models that
    differ by their weights alone share them. Inside of `jax.jit`, `jax.grad` and the
    like the method becomes part of the program around it. If the model has a method
    `check_input`, a first array that is not traced goes through it.

    Args:
      method: its arguments after the first array are arrays, integers or None.

    Returns:
      A method with the same arguments and results; it raises a UserError where the
      program needs more memory than the machine has, before that runs.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(model: nnx.Module, *args: Any, **options: Any) -> Any:
        array, *rest = signature.bind(model, *args, **options).args[1:]
        graphdef, params, state = functional.split(model)
        leaves = jax.tree.leaves((array, rest, params, state))
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return method(model, array, *rest)
        if hasattr(model, "check_input"):
            array = model.check_input(array)
        arrays = (jnp.asarray(array), *(a for a in rest if not _is_static(a)))
        numbers = tuple(a if _is_static(a) else _ARRAY for a in rest)
        kinds = tuple((a.shape, a.dtype) for a in arrays)
        program = _program(
            method,
            graphdef,
            numbers,
            kinds,
            bool(jax.config.jax_enable_x64),  # type: ignore[attr-defined]  # set by JAX as it runs
        )
        return program(params, state, arrays)

    return call


_ARRAY = object()


def _is_static(argument: Any) -> bool:
    return argument is None or isinstance(argument, int)


@functools.lru_cache(MOST_PROGRAMS)
def _program(
    method: Callable[..., Any],
    graphdef: nnx.GraphDef,
    numbers: tuple[Any, ...],
    *key: Any,
) -> Callable[..., Any]:
    """A function of its own for each key, so that what is not kept is freed."""
    del key

    def run(params: Any, state: Any, arrays: tuple[jax.Array, ...]) -> Any:
        array, *rest = arrays
        left = iter(rest)
        given = [next(left) if number is _ARRAY else number for number in numbers]
        return method(functional.merge(graphdef, params, state), array, *given)

    program, fits = jax.jit(run), False

    def checked(params: Any, state: Any, arrays: tuple[jax.Array, ...]) -> Any:
        nonlocal fits
        if not fits:  # the call below takes the same program
            sizes = iter([str(list(array.shape)) for array in arrays])
            texts = [next(sizes)]
            texts += [next(sizes) if n is _ARRAY else str(n) for n in numbers]
            devices.check_program(
                program.lower(params, state, arrays).compile(),
                f"{method.__name__}({', '.join(texts)})",
                "ask for fewer frames, or give fewer clips at a time",
            )
            fits = True
        return program(params, state, arrays)

    return checked


def check_images(images: Any, image_shape: tuple[int, ...]) -> np.ndarray:
    """Checks clips that a forecaster is to see.

    Args:
      images: ``[B, T, H, W, C]``: floats in [0, 1], or uint8, which is divided by 255.
      image_shape: (H, W, C) of the model.

    Returns:
      The images as floats in [0, 1].

    Raises:
      UserError: another rank, size, number or order of channels, nothing at all,
        another type, or values outside of [0, 1].
    """
    images = np.asarray(images)
    check_shape(images.shape, image_shape)
    if images.dtype == np.uint8:
        return images / np.float32(255)
    if not jnp.issubdtype(images.dtype, np.floating):
        raise UserError(
            f"images are {images.dtype}: give floats in [0, 1], or uint8 in 0 to 255"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise UserError(
            f"images have values from {low:.4g} to {high:.4g}: give floats in [0, 1] "
            "(divide brightness in 0 to 255 by 255), or uint8"
        )
    return images


def check_shape(
    shape: tuple[int, ...], image_shape: tuple[int, ...], name: str = "images"
) -> None:
    """Checks the shape of clips that a forecaster is to see.

    Args:
      shape: to be ``[B, T, H, W, C]``, none of them 0.
      image_shape: (H, W, C) of the model.
      name: what has this shape.

    Raises:
      UserError: another rank, size, number or order of channels, or nothing at all.
    """
    size, wanted = shape[2:], tuple(image_shape)
    problem = f"{name}: the shape is {list(shape)}, and the model takes images "
    problem += f"[batch, time, {', '.join(map(str, wanted))}]"
    if len(shape) != 5:
        raise UserError(f"{problem}; a single clip needs images[None]")
    if size == (wanted[2], *wanted[:2]) != wanted:
        raise UserError(
            f"{problem}, channels last: numpy.moveaxis(images, 2, -1) moves them there"
        )
    if size[:2] != wanted[:2]:
        raise UserError(f"{problem}; resize them")
    if size != wanted:
        raise UserError(f"{problem}: {wanted[2]} channels, not {size[2]}")
    if 0 in shape:
        raise UserError(f"{problem}; there is nothing in it")

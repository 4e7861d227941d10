"""Reads the pickled checkpoints of the original programs, and runs nothing in them.

A pickle is a program that names functions to call. The reader here knows a handful of
names, answers each with an inert stand-in of its own, and refuses all others: no
module is imported and no function of the file's choice is called.
"""

import collections
import io
import math
import os
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np

from nwm_jax import files
from nwm_jax.errors import UserError

# Kinds of numbers that arrays may hold: boolean, integers, floats.
_KINDS = "biuf"
# What the nested dictionary of parameters is called in a checkpoint, and what looks like
# one and is not.
_PARAMS = ("params", "_params")
_NOT_PARAMS = ("opt_state", "_opt_state")
# Classes of these packages (states of optimisers) are read over.
_IGNORED = ("optax", "haiku", "jax", "jaxlib", "chex")


class _DType:
    """Stands for `numpy.dtype`: only plain numbers."""

    def __init__(self, code: str, *_: Any) -> None:
        self.value = np.dtype(_text(code))
        if self.value.kind not in _KINDS:
            raise UserError(f"it holds an array of type {code!r}, not of numbers")

    def __setstate__(self, state: tuple) -> None:
        order: Any = _text(state[1])  # NumPy checks it
        self.value = self.value.newbyteorder(order)


class _Array:
    """Stands for an array that is being put together; `value` is the array."""

    def __init__(self) -> None:
        self.value = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple) -> None:
        *_, shape, dtype, fortran, data = state
        self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C").value


class _Ignored:
    """Stands for an object that nobody needs; swallows whatever it is made of."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Fields(tuple):
    """Stands for jaxline's named tuples, which a checkpoint may lie in."""

    __slots__ = ()

    def __new__(cls, *fields: Any) -> Self:
        return super().__new__(cls, fields)

    def __setstate__(self, state: Any) -> None:
        pass


class _Dict(dict):
    """Stands for Haiku's immutable dictionaries, made from a dictionary."""

    def __setstate__(self, state: Any) -> None:
        # (attributes, slots): the dictionary is one of the slots.
        _, slots = state
        self.update(slots["_storage"])


class _Function:
    """Stands for a function: may be called, but not changed."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise UserError("it changes a function")


def _text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _from_bytes(
    data: Any,
    dtype: _DType,
    shape: tuple,
    order: Literal["C", "F", "K"] = "C",
    axes: tuple[int, ...] | None = None,
) -> _Array:
    """An array from its bytes; order "K": its axes were transposed by `axes`."""
    if not isinstance(dtype, _DType) or not isinstance(data, (bytes, bytearray, str)):
        raise UserError("it holds an array that is not made of numbers")
    if isinstance(data, str):  # protocol 2 has no bytes
        data = data.encode("latin-1")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if len(data) != dtype.value.itemsize * math.prod(shape):
        raise UserError(f"it holds a damaged array of shape {shape}")
    result = _Array()
    flat = np.frombuffer(bytes(data), dtype.value)
    result.value = flat.reshape(shape, order="C" if order == "K" else order)
    if order == "K" and axes is not None:
        result.value = result.value.transpose(axes)
    return result


def _empty(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _DType, data: Any) -> _Array:
    return _from_bytes(data, dtype, ())


def _jax_array(make: Any, arguments: tuple, state: Any, *_: Any) -> _Array:
    array = make(*arguments) if isinstance(make, _Function) else None
    if not isinstance(array, _Array):
        raise UserError("it holds a JAX array in an unknown form")
    if state is not None:
        array.__setstate__(state)
    return array


def _bytes(data: str | bytes = b"", encoding: str = "latin1") -> bytes:
    if isinstance(data, str) and encoding in ("latin1", "latin-1"):
        return data.encode("latin-1")
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    raise UserError("it holds bytes in an unknown form")


# Where a name may come from: packages moved their modules over the years.
_ARRAYS = {
    "_reconstruct": _Function(_empty),
    "scalar": _Function(_scalar),
    "_frombuffer": _Function(_from_bytes),
    "ndarray": _Ignored,
    "dtype": _DType,
}
_KNOWN: dict[tuple[str, str], Any] = {
    (f"{package}{module}", name): value
    for package in ("numpy", "numpy.core", "numpy._core")
    for module in ("", ".multiarray", ".numeric")
    for name, value in _ARRAYS.items()
} | {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _Function(_bytes),
    ("jaxline.utils", "SnapshotNT"): _Fields,
    ("jaxline.utils", "CheckpointNT"): _Fields,
}
_KNOWN |= {
    (module, f"{prefix}{name}"): _Function(_jax_array)
    for module, name in (
        ("jax._src.array", "reconstruct_array"),
        ("jax._src.device_array", "reconstruct_device_array"),
        ("jax.interpreters.xla", "reconstruct_device_array"),
    )
    for prefix in ("", "_")
}
_KNOWN |= {
    ("haiku._src.data_structures", name): _Dict
    for name in ("FlatMapping", "FlatMap", "frozendict")
}
_KNOWN |= {
    (module, name): value
    for module in ("builtins", "__builtin__")
    for name, value in {
        "dict": dict,
        "list": list,
        "tuple": tuple,
        "set": set,
        "frozenset": frozenset,
        "bytearray": _Function(_bytes),
        "bytes": _Function(_bytes),
    }.items()
}
# What the machine of `pickle` raises on a file that is damaged or not a pickle.
_DAMAGED = (
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module.split(".")[0] in _IGNORED:
            return _Ignored
        raise UserError(f"it asks for {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> Any:
        raise UserError("it refers to objects outside the file")


def read_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the parameters out of a pickled checkpoint of the original programs.

    The file holds Haiku's parameters {"module": {"name": array}}, alone, under
    "params", or in the state of an experiment under "_params"; a leading axis of
    devices is taken off. Nothing in the file is run.

    Args:
      path: the file.

    Returns:
      {"module:name": array}, for `physics_inspired_models.load`.

    Raises:
      UserError: not such a file, or one that asks for anything but numbers and
        containers.
    """
    content = files.read_bytes(path, 2 * 10**9)
    try:
        params = _find_params(_Reader(io.BytesIO(content)).load())
    except UserError as error:
        raise UserError(f"{path} is not a checkpoint of weights: {error}") from None
    except _DAMAGED as error:
        raise UserError(
            f"{path} is not a pickled checkpoint ({type(error).__name__}): give the "
            "file that the original program wrote"
        ) from None
    if params is None:
        raise UserError(f"{path} holds no Haiku parameters (module -> name -> array)")
    # The decoder's constant has three axes; a fourth is that of the devices.
    if "Decoder:h" in params and params["Decoder:h"].ndim == 4:
        params = {name: array[0] for name, array in params.items()}
    return params


def _find_params(nest: Any) -> dict[str, np.ndarray] | None:
    """The first parameters in a nest of dictionaries, lists and tuples."""
    if isinstance(nest, (list, tuple)):
        parts = list(nest)
    elif not isinstance(nest, Mapping):
        return None
    elif flat := _haiku(nest):
        return flat
    else:
        named = [nest[key] for key in _PARAMS if key in nest]
        others = [part for key, part in nest.items() if key not in _NOT_PARAMS]
        parts = named or others
    candidates = (_find_params(part) for part in parts)
    return next((params for params in candidates if params), None)


def _haiku(nest: Mapping) -> dict[str, np.ndarray] | None:
    """Haiku's two levels of names as one; None if this is something else."""
    flat = {}
    for module, arrays in nest.items():
        if not isinstance(arrays, Mapping):
            return None
        for name, array in arrays.items():
            if not isinstance(array, _Array):
                return None
            flat[f"{module}:{name}"] = array.value
    return flat

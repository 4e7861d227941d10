"""Pickled arrays of bytes, read without giving the file a say in what runs.

The Python archive of CIFAR-10 holds pickles of dicts, lists, numbers, texts and NumPy
arrays. Here an array is rebuilt from the shape, the type and the bytes that the pickle
states, by us; anything else that a pickle may name is refused.
"""

import io
import math
import pickle
from typing import Any

import numpy as np

from nwm_jax.errors import UserError


class _Type:
    """Stands for a numpy.dtype: keeps its code, and only takes bytes."""

    def __init__(self, code: Any = None, *rest: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, which bytes do not have."""


class _Array:
    """Stands for a numpy.ndarray until its state is known.

    The state is (version, shape, type, order, bytes).
    """

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.shape, self.kind, self.fortran, self.data = shape, kind, fortran, data

    def build(self) -> np.ndarray:
        """The array, if all that was stated fits together."""
        if not isinstance(self.kind, _Type) or self.kind.code != "u1":
            raise pickle.UnpicklingError("an array is not of unsigned bytes")
        data = self.data
        if isinstance(data, str):  # how Python 2's bytes come out of newer protocols
            data = data.encode("latin1")
        shape = tuple(self.shape)
        sound = isinstance(data, bytes) and all(
            type(n) is int and n >= 0 for n in shape
        )
        if not sound or math.prod(shape) != len(data):
            raise pickle.UnpicklingError("an array has another size than its shape")
        array = np.frombuffer(data, np.uint8)
        return array.reshape(shape, order="F" if self.fortran else "C")


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it holds a text where bytes should be")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # The functions are new ones each time: a pickle can set attributes on them.
        stand_ins = {
            "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy.ndarray": _Array,
            "numpy.dtype": _Type,
            "_codecs.encode": lambda text, encoding: _encode(text, encoding),
        }
        if f"{module}.{name}" not in stand_ins:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return stand_ins[f"{module}.{name}"]


# What damaged pickles raise, beside what we do.
_UNSOUND = (
    *(pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError),
    *(MemoryError, RecursionError, TypeError, ValueError),
)


def load(content: bytes, where: str) -> Any:
    """Reads a pickle of plain values and arrays of bytes.

    Args:
      content: the pickle.
      where: what it is, for messages.

    Returns:
      The value; arrays in a dict are uint8 `np.ndarray`.

    Raises:
      UserError: it is damaged, or holds anything else.
    """
    try:
        result = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if isinstance(result, dict):
            return {
                k: v.build() if isinstance(v, _Array) else v for k, v in result.items()
            }
        return result
    except _UNSOUND as error:
        raise UserError(f"{where} is not a sound pickle of arrays ({error})") from None

"""PyTorch state dicts without PyTorch: files of named arrays, and their shapes checked."""

import os
import pathlib
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import safetensors
import safetensors.numpy

from nwm_jax import files
from nwm_jax.errors import UserError

SUFFIXES = (".npz", ".safetensors", ".pt", ".pth")
# More than a hundred times what the weights of the originals take.
_MOST_BYTES = 2 * 10**9


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a state dict; nothing in the file is executed.

    Args:
      path: ".npz" or ".safetensors"; ".pt" or ".pth" where PyTorch is installed, which
        reads weights only.

    Returns:
      {name: array}.

    Raises:
      UserError: no such file, another suffix, a damaged file, or no PyTorch.
    """
    path = pathlib.Path(path)
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path} is no file of weights that can be read; save them as one of "
            f"{', '.join(SUFFIXES)}"
        )
    files.check_file(path)
    try:
        if path.suffix == ".npz":
            arrays = files.read_npz(path, _MOST_BYTES)
            if odd := [
                name for name in arrays if arrays[name].dtype.kind not in "biufc"
            ]:
                raise ValueError(f"{odd[0]} holds no numbers")
            return arrays
        if path.suffix == ".safetensors":
            return safetensors.numpy.load_file(path)
        return _read_torch(path)
    except (
        *(EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError),
        *(pickle.UnpicklingError, safetensors.SafetensorError),
        *(zipfile.BadZipFile, zlib.error, MemoryError),
    ) as error:
        if isinstance(error, UserError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a sound file of weights ({reason})") from error


def _read_torch(path: pathlib.Path) -> dict[str, Any]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"reading {path} needs PyTorch (pip install torch); or save the weights "
            "where it is installed with numpy.savez(file, **{k: v.numpy() for k, v in "
            "state_dict.items()}) and read the .npz"
        ) from None
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise TypeError(f"it holds a {type(content).__name__}, not a state_dict")
    return dict(content)


class Arrays:
    """The arrays of a state dict, taken one after the other with the expected shapes.

    Args:
      arrays: {name: array or tensor}; arrays may be traced by JAX.
      model: what they belong to, for messages.
    """

    def __init__(self, arrays: Mapping[str, Any], model: str) -> None:
        self._arrays = {str(name): array for name, array in arrays.items()}
        self._model = model
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def rank(self, name: str) -> int:
        """The number of axes of an array."""
        return self._get(name).ndim

    def take(self, name: str, *shape: int | None) -> jax.Array:
        """Returns an array in our precision.

        Args:
          name: its name.
          shape: the shape that it must have; None where any size is right.

        Returns:
          The array: float32, or float64 if it is and JAX works in double precision.

        Raises:
          UserError: there is none of that name, or it has another shape.
        """
        array = self._get(name)
        fits = len(shape) == array.ndim and all(
            wanted in (None, size)
            for wanted, size in zip(shape, array.shape, strict=False)
        )
        if not fits:
            shown = ("any" if size is None else str(size) for size in shape)
            self.refuse(name, f"({', '.join(shown)})")
        return array

    def divide(self, name: str, axis: int, parts: int) -> int:
        """The size of an axis over `parts`, which must divide it."""
        array = self._get(name)
        if parts < 1 or axis >= array.ndim or array.shape[axis] % parts:
            self.refuse(name, f"{parts} channels of equal size on axis {axis}")
        return array.shape[axis] // parts

    def check_odd(self, name: str, axis: int) -> None:
        """Raises UserError if a kernel has no middle."""
        if self._get(name).shape[axis] % 2 == 0:
            self.refuse(name, "a kernel of odd size")

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Raises the error for an array of a wrong shape."""
        shape = self._get(name).shape
        raise UserError(f"{name} of {self._model} has shape {shape}, expected {wanted}")

    def check_all_taken(self) -> None:
        """Raises UserError if there are arrays that nobody took."""
        if left := self._arrays.keys() - self._taken:
            raise UserError(f"unknown in {self._model}: {', '.join(sorted(left))}")

    def _get(self, name: str) -> jax.Array:
        if name not in self._arrays:
            raise UserError(f"missing in {self._model}: {name}")
        self._taken.add(name)
        array = self._arrays[name]
        if hasattr(array, "detach"):  # a tensor, perhaps on a GPU
            array = array.detach().cpu().numpy()
        array = jnp.asarray(array)
        wide = array.dtype in (jnp.float32, jnp.float64)
        return array if wide else array.astype(jnp.float32)

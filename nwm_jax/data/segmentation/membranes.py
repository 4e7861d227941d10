"""Membranes of your own, from a file."""

import os
import pathlib
import warnings

import numpy as np
from PIL import Image

from nwm_jax import files
from nwm_jax.errors import UserError, reason

_WIDEST = 512


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Reads where a membrane is; nothing in the file is executed.

    Args:
      path: a .npy file, ``[H, W]``, where the membrane is not zero; or a picture, where
        it is brighter than a half.

    Returns:
      bool ``[H, W]``.

    Raises:
      UserError: a file that is missing, damaged or of another shape, or no membrane.
    """
    path = files.check_file(path)
    result = files.open_array(path) if path.suffix == ".npy" else _picture(path)
    if result.ndim != 2 or result.dtype.kind not in "biuf":
        raise UserError(f"{path} must hold numbers [height, width]")
    if max(result.shape) > _WIDEST:
        raise UserError(_too_large(path, result.shape))
    mask = np.asarray(result) != 0
    if not mask.any():
        raise UserError(f"{path} has no membrane: all of it is zero")
    return mask


def _picture(path: pathlib.Path) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            # The size is looked at here, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if max(picture.size) > _WIDEST:
                    raise UserError(_too_large(path, picture.size[::-1]))
                return np.asarray(picture.convert("L")) > 127
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (Pillow has no common class for it)
        raise UserError(
            f"{path} is neither a .npy file nor a picture ({reason(error)})"
        ) from None


def _too_large(path: pathlib.Path, shape: tuple[int, ...]) -> str:
    return f"{path} has shape {tuple(shape)}; at most {_WIDEST} x {_WIDEST} is computed"

"""A few trajectories of a dataset at a glance: side by side in time, or one by one."""

import io
import math
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.figures import style
from nwm_jax.files import write_atomic

SUFFIXES = (".gif", ".webp", ".png")
_GAP = 4  # pixels of white between the pictures
_MILLISECONDS = 50  # per frame of an animation


def save(
    path: str | os.PathLike,
    clips: np.ndarray,
    *,
    num_columns: int,
    zoom: int,
    origin: str,
) -> pathlib.Path:
    """Draws clips as an animation that plays all of them, or as a still picture.

    Args:
      path: ends in ".gif" or ".webp" for an animation of a grid of clips, in ".png" for
        one row per clip, of frames evenly spaced from its first to its last.
      clips: uint8 `[N, T, H, W, C]`, C = 1 or 3.
      num_columns: clips per row of an animation, frames per row of a picture.
      zoom: a pixel of a clip becomes this many, squared.
      origin: "lower": row 0 at the bottom; "upper": at the top.

    Returns:
      `path`.

    Raises:
      UserError: another ending, or another kind of array.
    """
    path = style.check_suffix(path, *SUFFIXES)
    style.check_origin(origin)
    clips = np.asarray(clips)
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] not in (1, 3):
        raise UserError(
            f"clips must be uint8 [N, T, H, W, C] with C = 1 or 3 and are {clips.dtype} "
            f"{clips.shape}"
        )
    clips = np.broadcast_to(clips, (*clips.shape[:-1], 3))
    if origin == "lower":
        clips = clips[:, :, ::-1]
    if path.suffix.lower() == ".png":
        shown = np.linspace(0, clips.shape[1] - 1, num_columns).round().astype(int)
        rows = clips[:, shown].reshape(1, -1, *clips.shape[2:])
        (sheet,) = _sheets(rows, num_columns, zoom)
        return write_atomic(path, _encode([sheet], format="PNG", optimize=True))
    sheets = _sheets(clips.swapaxes(0, 1), num_columns, zoom)
    options: dict[str, Any] = {"save_all": True, "duration": _MILLISECONDS, "loop": 0}
    if path.suffix.lower() == ".webp":
        options |= {"format": "WEBP", "lossless": True}
    else:
        # One palette for all frames, so that colours do not flicker.
        pixels = np.concatenate([np.asarray(s).reshape(-1, 3)[::7] for s in sheets])
        palette = Image.fromarray(pixels[None]).quantize(255)
        sheets = [s.quantize(palette=palette, dither=Image.Dither.NONE) for s in sheets]
        options |= {"format": "GIF", "disposal": 1}
    return write_atomic(path, _encode(sheets, **options))


def _sheets(frames: np.ndarray, num_columns: int, zoom: int) -> list[Image.Image]:
    """One sheet of pictures `[T, N, H, W, 3]` per time."""
    num_frames, num, height, width, _ = frames.shape
    num_columns = min(num, num_columns)
    num_rows = math.ceil(num / num_columns)
    high, wide = height * zoom + _GAP, width * zoom + _GAP
    shape = (num_frames, num_rows * high - _GAP, num_columns * wide - _GAP, 3)
    sheets = np.full(shape, 255, np.uint8)
    for k in range(num):
        top, left = k // num_columns * high, k % num_columns * wide
        large = frames[:, k].repeat(zoom, axis=1).repeat(zoom, axis=2)
        sheets[:, top : top + high - _GAP, left : left + wide - _GAP] = large
    return [Image.fromarray(sheet) for sheet in sheets]


def _encode(sheets: list[Image.Image], **options) -> bytes:
    buffer = io.BytesIO()
    if len(sheets) > 1:
        options["append_images"] = sheets[1:]
    sheets[0].save(buffer, **options)
    return buffer.getvalue()

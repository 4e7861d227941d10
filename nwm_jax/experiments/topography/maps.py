"""Maps of what the cells of a sheet prefer: orientations, images."""

import io
import os
import pathlib

import numpy as np
from matplotlib.colors import ListedColormap
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.figures import style
from nwm_jax.files import write_atomic
from nwm_jax.waves import pinwheels

# The colours of the published map, orientation by orientation.
COLORS = (
    "#3c848d",
    "#86b33d",
    "#b4c443",
    "#fbe451",
    "#f09c3b",
    "#c32a2d",
    "#7e4886",
    "#253b73",
)
_MAP, _LEFT, _TOP = 4.2, 0.35, 0.55


def draw_orientation_map(
    path: str | os.PathLike,
    labels: np.ndarray,
    selective: np.ndarray,
    *,
    title: str = "",
    note: str = "",
) -> pathlib.Path:
    """Draws which of 8 orientations every cell prefers.

    Cells without a clear preference are crossed; pinwheels (points round which the
    orientations turn once by pi) are ringed, white the ones and black the others way
    round. The bars at the right lie as the gratings' stripes do.

    Args:
      path: the PNG to write.
      labels: int [H, W], k for the wave vector at k 22.5 degrees (x to the right, y
        down), so that stripes lie at 90 - k 22.5 degrees, y up.
      selective: bool [H, W].
      title: one line above the map.
      note: one line below.

    Returns:
      `path`.

    Raises:
      UserError: arrays that are not [H, W] of labels 0 to 7, or another ending.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), figure 3.
    """
    style.check_suffix(path, ".png")
    labels = np.asarray(labels)
    known = labels.ndim == 2 and labels.size and 0 <= labels.min() <= labels.max() < 8
    if not known or np.shape(selective) != labels.shape:
        raise UserError(
            f"labels {labels.shape} and selective {np.shape(selective)} must be "
            "[height, width], labels from 0 to 7"
        )
    height = _MAP * labels.shape[0] / labels.shape[1]
    figure = style.new_figure(_MAP + 1.5, _TOP + height + (0.42 if note else 0.15))
    if title:
        style.title(figure, _LEFT, 0.25, title)
    axes = style.add_axes_inches(figure, _LEFT, _TOP, _MAP, height)
    style.remove_ticks(axes)
    axes.imshow(
        labels,
        cmap=ListedColormap(COLORS),
        vmin=-0.5,
        vmax=7.5,
        interpolation="nearest",
        origin="upper",
    )
    rows, columns = np.nonzero(~np.asarray(selective, bool))
    size = (72 * _MAP / labels.shape[1] * 0.6) ** 2
    axes.scatter(columns, rows, s=size, c="black", marker="x", linewidths=0.7)
    theta = labels * (np.pi / 8)
    for sign, color in ((0.5, "white"), (-0.5, "black")):
        rows, columns = np.nonzero(pinwheels(theta) == sign)
        axes.scatter(
            columns + 0.5,
            rows + 0.5,
            s=34,
            facecolors="none",
            edgecolors=color,
            linewidths=1.0,
        )
    axes.set(xlim=(-0.5, labels.shape[1] - 0.5), ylim=(labels.shape[0] - 0.5, -0.5))
    side = height / 8
    for k, color in enumerate(COLORS):
        bar = style.add_axes_inches(
            figure, _LEFT + _MAP + 0.25, _TOP + k * side, side * 0.9, side * 0.9
        )
        style.remove_ticks(bar)
        tilt = np.pi / 2 - k * np.pi / 8
        x, y = 0.38 * np.cos(tilt), 0.38 * np.sin(tilt)
        bar.plot([-x, x], [-y, y], color=color, linewidth=4.5, solid_capstyle="butt")
        bar.set(xlim=(-0.5, 0.5), ylim=(-0.5, 0.5))
    if note:
        style.text_inches(figure, _LEFT, _TOP + height + 0.2, note, style.SMALL)
    return style.save_png(figure, path)


def draw_mosaic(
    path: str | os.PathLike, images: np.ndarray, *, gap: int = 2, zoom: int = 1
) -> pathlib.Path:
    """Tiles the image of every cell as the cells lie.

    Args:
      path: the PNG to write.
      images: grey in [0, 1], ``[H, W, h, w]``, one for each cell.
      gap: black pixels between the tiles.
      zoom: a pixel becomes this many, squared.

    Returns:
      `path`.

    Raises:
      UserError: another rank, or another ending.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), figures 3
    and 6.
    """
    path = style.check_suffix(path, ".png")
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        raise UserError(f"images must be [H, W, h, w] and have shape {images.shape}")
    padded = np.pad(images, [(0, 0), (0, 0), (0, gap), (0, gap)])
    sheet = padded.transpose(0, 2, 1, 3).reshape(padded.shape[0] * padded.shape[2], -1)[
        : -gap or None, : -gap or None
    ]
    pixels = np.rint(np.clip(sheet, 0, 1) * 255).astype(np.uint8)
    pixels = pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return write_atomic(path, buffer.getvalue())

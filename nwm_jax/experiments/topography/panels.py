"""Rows of small pictures over time: images, fields, phases, with arrows and marks."""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from nwm_jax.errors import UserError
from nwm_jax.figures import style
from nwm_jax.figures.waves import add_scale, draw_arrows, mean_blocks

_LEFT, _GAP = 1.05, 0.06
_ARROWS = 9
_LEAST_SCALE = 0.45  # inches, below which the numbers of a scale meet
KINDS = ("image", "field", "phase", "velocity")


class Row(NamedTuple):
    """One row of pictures, row 0 of every array at the top.

    Attributes:
      label: what stands at its left.
      pictures: ``[n, H, W]``: grey levels in [0, 1] ("image"), values around 0 ("field"),
        radians ("phase"); or ``[n, H, W, 2]``, (row, column), of which arrows are drawn
        ("velocity"). NaN is grey.
      kind: of `KINDS`.
      arrows: ``[n, H, W, 2]`` drawn upon the pictures; None: no arrows.
      stars: (row, column) of a star in each picture, ``[n, 2]``; None: no stars.
      triangle: (row, column) of a triangle in all pictures; None: none.
      frame: the colour of the frames of some pictures: {index: colour}; None: thin grey.
    """

    label: str
    pictures: np.ndarray
    kind: str = "image"
    arrows: np.ndarray | None = None
    stars: np.ndarray | None = None
    triangle: Sequence[int] | None = None
    frame: dict[int, str] | None = None


def draw(
    path: str | os.PathLike,
    rows: Sequence[Row],
    *,
    columns: Sequence[str],
    title: str = "",
    note: str = "",
    width: float = 6.6,
) -> pathlib.Path:
    """Draws rows of pictures below each other; those of a column are simultaneous.

    Fields have one symmetric scale per row (99.5 % of the values), phases a cyclic one;
    arrows are averaged over blocks of cells, the longest of a row as long as its block;
    a note says how long that is.

    Args:
      path: the PNG to write.
      rows: one or more, all of as many pictures as there are columns.
      columns: what stands above the columns.
      title: one line above all.
      note: one line below.
      width: of all pictures of a row, inches.

    Returns:
      `path`.

    Raises:
      UserError: rows of different lengths, an unknown kind, or another ending.
    """
    style.check_suffix(path, ".png")
    for row in rows:
        if len(row.pictures) != len(columns) or row.kind not in KINDS:
            raise UserError(
                f"row {row.label!r} has {len(row.pictures)} pictures of kind "
                f"{row.kind!r} for {len(columns)} columns"
            )
    cell = (width - (len(columns) - 1) * _GAP) / len(columns)
    cell = min(cell, 1.5)
    heights = [cell * _aspect(row.pictures) for row in rows]
    top = 0.62 if title else 0.36
    tops = top + np.cumsum([0.0, *(height + _GAP for height in heights)])
    right = _LEFT + len(columns) * (cell + _GAP)
    notes = [note] if note else []
    notes += [
        f"Arrows ({' '.join(row.label.split())}): \N{GREEK SMALL LETTER NU} = "
        f"\N{MINUS SIGN}grad \N{GREEK SMALL LETTER PHI}, the longest "
        f"{_blocks(arrows)[2]:.2g} rad/cell."
        for row in rows
        if (arrows := _arrows(row)) is not None
    ]
    figure = style.new_figure(right + 0.6, tops[-1] + 0.08 + 0.2 * len(notes))
    if title:
        style.title(figure, 0.12, 0.18, title)
    for number, name in enumerate(columns):
        middle = _LEFT + number * (cell + _GAP) + cell / 2
        style.text_inches(figure, middle, top - 0.13, name, style.SMALL, ha="center")
    for row, height, above in zip(rows, heights, tops, strict=False):
        place = (_LEFT - 0.09, above + height / 2)
        style.text_inches(figure, *place, row.label, style.LABEL, ha="right")
        shown = _draw_row(figure, row, (_LEFT, above, cell, height))
        _scale(figure, row, shown, (right, above, 0.08, height))
    for number, line in enumerate(notes):
        place = (0.12, tops[-1] + 0.1 + 0.2 * number)
        style.text_inches(figure, *place, line, style.SMALL)
    return style.save_png(figure, path)


def _aspect(pictures: np.ndarray) -> float:
    """Returns height over width; long rings are stretched."""
    return float(np.clip(pictures.shape[1] / pictures.shape[2], 0.4, 2.0))


def _draw_row(
    figure: Figure, row: Row, box: tuple[float, float, float, float]
) -> AxesImage | None:
    left, top, width, height = box
    shown = None
    velocity = row.kind == "velocity"
    arrows = _arrows(row)
    if arrows is not None:
        places, means, longest, block = _blocks(arrows)
    look = _look(row)
    for number, picture in enumerate(row.pictures):
        axes = style.add_axes_inches(
            figure, left + number * (width + _GAP), top, width, height
        )
        style.remove_ticks(axes)
        if velocity:
            high, wide = picture.shape[:2]
            axes.set(xlim=(-0.5, wide - 0.5), ylim=(high - 0.5, -0.5))
        else:
            shown = axes.imshow(picture, origin="upper", aspect="auto", **look)
        if arrows is not None:
            draw_arrows(axes, *places, means[number], longest, block)
        _draw_marks(axes, row, number)
    return shown


def _arrows(row: Row) -> np.ndarray | None:
    return row.pictures if row.kind == "velocity" else row.arrows


def _blocks(
    arrows: np.ndarray,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, float, int]:
    """Places and means of the arrows over blocks, the longest mean, a block's side."""
    block = max(1, -(-max(arrows.shape[1:3]) // _ARROWS))
    places, means = mean_blocks(arrows, block)
    longest = float(np.nanmax(np.hypot(means[..., 0], means[..., 1]), initial=0.0))
    return places, means, longest, block


def _look(row: Row) -> dict:
    look = {"interpolation": "nearest"}
    if row.kind == "image":
        return look | {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
    if row.kind == "phase":
        return look | {"cmap": style.CYCLIC, "vmin": -np.pi, "vmax": np.pi}
    limit = style.symmetric_limit(row.pictures)
    return look | {"cmap": style.DIVERGING, "vmin": -limit, "vmax": limit}


def _draw_marks(axes: Axes, row: Row, number: int) -> None:
    marks = []
    if row.stars is not None:
        marks.append(("*", row.stars[number], "#ffe14d", 95))
    if row.triangle is not None:
        marks.append(("^", row.triangle, "#56d364", 42))
    for marker, (line, column), color, size in marks:
        axes.scatter(
            column, line, s=size, marker=marker, c=color, edgecolors="black", lw=0.7
        )
    if row.frame and number in row.frame:
        for spine in axes.spines.values():
            spine.set(linewidth=1.6, color=row.frame[number])


def _scale(
    figure: Figure,
    row: Row,
    shown: AxesImage | None,
    box: tuple[float, float, float, float],
) -> None:
    if shown is None or box[3] < _LEAST_SCALE:  # arrows have no scale
        return
    if row.kind == "field":
        limit = shown.get_clim()[1]
        names = [f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}"]
        add_scale(figure, shown, box, [-limit, 0, limit], names)
    elif row.kind == "phase":
        names = ["\N{MINUS SIGN}π", "0", "π"]
        add_scale(figure, shown, box, [-np.pi, 0, np.pi], names)

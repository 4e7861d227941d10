"""Still pictures of travelling waves: snapshots with phase and velocity, space-time."""

import os
import pathlib
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from nwm_jax.errors import UserError
from nwm_jax.figures import style
from nwm_jax.waves.phase import analytic_signal, is_silent
from nwm_jax.waves.velocity import temporal_frequency, wave_velocity

_LEFT = 0.75
_GAP = 0.08
_ARROWS = 9  # about so many along the longer side


def draw_snapshots(
    path: str | os.PathLike,
    field: np.ndarray,
    *,
    frames: list[int] | None = None,
    first_frame: int = 0,
    boundary: str | tuple[str, str] = "periodic",
    title: str = "",
    origin: str = style.ORIGIN,
    fs: float = 1.0,
    cell: float = 1.0,
    units: tuple[str, str] = ("frame", "cell"),
) -> pathlib.Path:
    """Draws a field at several times, and below it its phase with velocity arrows.

    The arrows are nu = -grad phi (`waves.wave_velocity`), the direction in which the
    crests move on the picture, averaged over the block of cells that each one covers.

    Args:
      path: the PNG to write.
      field: x, real [T, H, W]; NaN (missing) is grey. Or complex: its signal from
        `waves.wave_signal`, of which the real part and the phase are shown.
      frames: which frame numbers to show, at most 8; None: six that cover about one
        period of the oscillation in the middle of the clip.
      first_frame: the number of the clip's frame at index 0.
      boundary: of the sheet, as in `waves.phase_gradient`.
      title: one line above the pictures.
      origin: "lower": row 0 at the bottom; "upper": at the top.
      fs: frames per unit of time.
      cell: the side of a cell.
      units: names of the units of time and length; of frames numbers are shown.

    Returns:
      `path`.

    Raises:
      UserError: not [T, H, W] with at least 3 frames, frames that are not there, an
        unknown boundary, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    style.check_origin(origin)
    signal = np.asarray(field) if np.iscomplexobj(field) else None
    field = style.as_field(np.real(field))
    if signal is None:
        signal = analytic_signal(field)
    velocity = wave_velocity(signal, boundary=boundary)
    angle = np.where(is_silent(signal), np.nan, np.angle(signal))
    if frames is None:
        indices = _one_period(signal)
    else:
        indices = [frame - first_frame for frame in frames]
        if not 1 <= len(indices) <= 8 or not all(0 <= k < len(field) for k in indices):
            raise UserError(
                f"frames {list(frames)} cannot be shown: give 1 to 8 of "
                f"{first_frame} ... {first_frame + len(field) - 1}"
            )
    block = max(1, -(-max(field.shape[1:]) // _ARROWS))
    places, arrows = mean_blocks(velocity[indices], block)
    lengths = np.hypot(arrows[..., 0], arrows[..., 1])
    longest = float(np.nanmax(lengths, initial=0.0))
    width, height = _cell_size(field.shape[1:], len(indices))
    top = 0.62 if title else 0.36
    bar = _LEFT + len(indices) * (width + _GAP) + 0.04
    figure = style.new_figure(bar + 0.62, top + 2 * height + _GAP + 0.34)
    if title:
        style.title(figure, _LEFT, 0.18, title)
    limit = style.symmetric_limit(field)
    rows = [top, top + height + _GAP]
    look: dict[str, Any] = {
        "origin": origin,
        "aspect": "auto",
        "interpolation": "nearest",
    }
    for row, words in zip(rows, ("x", "phase,\nvelocity"), strict=False):
        place = (_LEFT - 0.1, row + height / 2)
        style.text_inches(figure, *place, words, style.LABEL, ha="right")
    for column, k in enumerate(indices):
        left = _LEFT + column * (width + _GAP)
        words = _moment(first_frame + k, fs, units[0], first=column == 0)
        place = (left + width / 2, top - 0.13)
        style.text_inches(figure, *place, words, style.LABEL, ha="center")
        axes = style.add_axes_inches(figure, left, rows[0], width, height)
        style.remove_ticks(axes)
        shown = axes.imshow(
            field[k], cmap=style.DIVERGING, vmin=-limit, vmax=limit, **look
        )
        axes = style.add_axes_inches(figure, left, rows[1], width, height)
        style.remove_ticks(axes)
        turned = axes.imshow(
            angle[k], cmap=style.CYCLIC, vmin=-np.pi, vmax=np.pi, **look
        )
        draw_arrows(axes, *places, arrows[column], longest, block)
    for row, picture, ticks, names in (
        (
            rows[0],
            shown,
            [-limit, 0, limit],
            [f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}"],
        ),
        (rows[1], turned, [-np.pi, 0, np.pi], ["\N{MINUS SIGN}π", "0", "π"]),
    ):
        add_scale(figure, picture, (bar, row, 0.08, height), ticks, names)
    if longest:
        words = f"arrows: ν = −grad φ, the longest {longest / cell:.2g} rad/{units[1]}"
        if units[1] != "cell":
            sides = [f"{side * cell:.3g}" for side in field.shape[1:]]
            words += f"; the sheet is {' x '.join(sides)} {units[1]}"
        place = (_LEFT, rows[1] + height + 0.17)
        style.text_inches(figure, *place, words, style.SMALL)
    return style.save_png(figure, path)


def draw_space_time(
    path: str | os.PathLike,
    field: np.ndarray,
    *,
    row: int | None = None,
    first_frame: int = 0,
    title: str = "",
    fs: float = 1.0,
    cell: float = 1.0,
    units: tuple[str, str] = ("frame", "cell"),
) -> pathlib.Path:
    """Draws one row of a field over time: a travelling wave gives slanted stripes.

    The slope of the stripes is the speed along the row in cells per frame; a standing
    wave gives a chequerboard, synchrony gives vertical stripes.

    Args:
      path: the PNG to write.
      field: x, real [T, H, W]; NaN (missing) is grey.
      row: which row; None: the middle one.
      first_frame: the number of the clip's frame at index 0.
      title: one line above the picture.
      fs, cell, units: as in `draw_snapshots`.

    Returns:
      `path`.

    Raises:
      UserError: not [T, H, W] with at least 3 frames, no such row, or a path that does
        not end in ".png".
    """
    style.check_suffix(path, ".png")
    field = style.as_field(field)
    length, num_rows, num_columns = field.shape
    row = num_rows // 2 if row is None else row
    if not 0 <= row < num_rows:
        raise UserError(
            f"row {row} is not there: the field has rows 0 ... {num_rows - 1}"
        )
    top = 0.5 if title else 0.2
    figure = style.new_figure(6.2, top + 2.9)
    if title:
        style.title(figure, 0.6, 0.22, title)
    axes = style.add_axes_inches(figure, 0.6, top, 4.85, 2.4)
    limit = style.symmetric_limit(field[:, row])
    picture = axes.imshow(
        field[:, row].T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=style.DIVERGING,
        vmin=-limit,
        vmax=limit,
        extent=(
            (first_frame - 0.5) / fs,
            (first_frame + length - 0.5) / fs,
            -0.5 * cell,
            (num_columns - 0.5) * cell,
        ),
    )
    plain = units == ("frame", "cell")
    axes.set_xlabel("frame" if plain else f"time, {units[0]}", size=style.LABEL)
    place = f"column (cell of row {row})" if plain else f"columns, {units[1]}"
    axes.set_ylabel(place, size=style.LABEL)
    names = [f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}"]
    box = (5.55, top, 0.1, 2.4)
    add_scale(figure, picture, box, [-limit, 0, limit], names, "x")
    return style.save_png(figure, path)


def _moment(frame: int, fs: float, unit: str, first: bool) -> str:
    """The name of a frame: its number, or its time."""
    if unit == "frame":
        return f"frame {frame}" if first else str(frame)
    return f"{frame / fs:.5g} {unit}" if first else f"{frame / fs:.5g}"


def _one_period(signal: np.ndarray) -> list[int]:
    """Six indices that cover about one period in the middle of the clip."""
    length = len(signal)
    count = min(6, length)
    step = (length - 1) // (count - 1)  # as far apart as the clip allows
    omega = temporal_frequency(signal)
    omega = omega[np.isfinite(omega)]
    if omega.size and (usual := abs(np.median(omega))) > 0:
        step = max(1, min(step, round(float(2 * np.pi / usual) / count)))
    start = (length - 1 - step * (count - 1)) // 2
    return [start + step * i for i in range(count)]


def _cell_size(shape: tuple[int, int], count: int) -> tuple[float, float]:
    """Inches of one panel; long rings are stretched rather than drawn as a thread."""
    aspect = min(max(shape[1] / shape[0], 0.5), 2.5)
    width = min(6.6 / count, 1.6) if aspect >= 1 else 1.1 * aspect
    return width, width / aspect


def mean_blocks(
    velocity: np.ndarray, block: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Averages [T, H, W, 2] over square blocks of cells.

    Returns:
      Centres of the blocks (rows [n], columns [n]), and the means [T, n, 2], NaN where
      a block has no valid vector.
    """
    places, means = [], []
    rows, columns = velocity.shape[1:3]
    for i in range(0, rows, block):
        for j in range(0, columns, block):
            part = velocity[:, i : i + block, j : j + block]
            center = (i + (part.shape[1] - 1) / 2, j + (part.shape[2] - 1) / 2)
            valid = np.isfinite(part).all(axis=-1, keepdims=True)
            total = np.sum(part, axis=(1, 2), where=valid)
            count = valid.sum(axis=(1, 2))
            places.append(center)
            means.append(total / np.where(count, count, np.nan))
    place_rows, place_columns = np.array(places).T
    return (place_rows, place_columns), np.stack(means, axis=1)


def draw_arrows(
    axes: Axes,
    rows: np.ndarray,
    columns: np.ndarray,
    arrows: np.ndarray,
    longest: float,
    block: int,
) -> None:
    """Draws vectors (row, column) at their places, the longest as long as a block."""
    if not longest:
        return
    # In data units (angles and scale "xy"), so that the arrows follow the picture
    # whichever way up it is drawn.
    axes.quiver(
        columns,
        rows,
        arrows[:, 1] / longest * block,
        arrows[:, 0] / longest * block,
        angles="xy",
        scale_units="xy",
        scale=1.0,
        pivot="mid",
        units="inches",
        width=0.014,
        headwidth=4,
        headlength=4.5,
        headaxislength=4,
        minlength=0,
        color="#111111",
        edgecolor="white",
        linewidth=0.35,
    )


def add_scale(
    figure: Figure,
    picture: AxesImage,
    box: tuple[float, float, float, float],
    ticks: list[float],
    names: list[str],
    title: str = "",
) -> None:
    """A colour bar at a place given in inches (left, top, width, height)."""
    left, top, width, height = box
    # A little shorter than the panel: the end labels of two bars must not meet.
    axes = style.add_axes_inches(figure, left, top + 0.06, width, height - 0.12)
    bar = figure.colorbar(picture, cax=axes, ticks=ticks)
    bar.ax.set_yticklabels(names)
    bar.ax.tick_params(labelsize=style.SMALL, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    if title:
        bar.ax.set_title(title, size=style.LABEL)

"""The look that all figures share, and the checks of what they are given.

Orientation: row 0 of every array is drawn at the bottom (`ORIGIN`), because the
suite's images are stored with row 0 at the lowest y: drawn like this, down is down. For
arrays that are stored from the top, such as photographs, pass origin="upper".
"""

import io
import os
import pathlib
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from nwm_jax.errors import UserError
from nwm_jax.files import write_atomic

ORIGIN = "lower"
DPI = 160

# Colours that stay apart in grey print and for colour-blind readers (Okabe and Ito).
INK = "#222222"
FAINT = "#9a9a9a"
OBSERVED = "#7f7f7f"
FORECAST = "#0072b2"
ACCENT = "#d55e00"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_MARKERS = ("o", "s", "^", "D")
MISSING = "#bdbdbd"

FONT = "DejaVu Sans"  # comes with matplotlib: the same everywhere
TITLE = 10.0
LABEL = 8.5
SMALL = 7.5


def _colormap(name: str) -> ListedColormap:
    """A copy of a map of matplotlib's in which a missing value (NaN) is grey."""
    colors = matplotlib.colormaps[name](np.linspace(0, 1, 256))
    if name == "magma_r":
        # Its light end is yellow; on paper no error should be white.
        fade = np.clip(np.linspace(0, 1, 256) / 0.25, 0, 1)[:, None]
        colors = fade * colors + (1 - fade)
    return ListedColormap(colors, name=f"{name}_nwm", bad=MISSING)


DIVERGING = _colormap("RdBu_r")  # fields: blue below 0, red above
CYCLIC = _colormap("twilight")  # phases: -pi and pi are the same colour
SEQUENTIAL = _colormap("magma_r")  # errors: white is none


def new_figure(width: float, height: float) -> Figure:
    """Makes an empty white figure that no global state knows.

    Args:
      width: inches.
      height: inches.

    Returns:
      A figure; axes are placed by hand or with `add_axes_inches`.
    """
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def add_axes_inches(
    figure: Figure, left: float, top: float, width: float, height: float
) -> Axes:
    """Adds axes at a place given in inches from the left and from the top."""
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes(
        (
            left / total_width,
            1 - (top + height) / total_height,
            width / total_width,
            height / total_height,
        )
    )
    axes.tick_params(labelsize=SMALL, colors=INK, width=0.6, length=3)
    for spine in axes.spines.values():
        spine.set(linewidth=0.6, color=INK)
    return axes


def text_inches(
    figure: Figure, left: float, top: float, words: str, size: float, **kwargs
) -> None:
    """Writes text at a place given in inches from the left and from the top."""
    width, height = figure.get_size_inches()
    kwargs = {"color": INK, "va": "center", "family": FONT} | kwargs
    figure.text(left / width, 1 - top / height, words, size=size, **kwargs)


def title(figure: Figure, left: float, top: float, words: str) -> None:
    """Writes the title of a picture in inches, smaller where it would be cut."""
    width, height = figure.get_size_inches()
    text = figure.text(left / width, 1 - top / height, words, size=TITLE)
    text.set(color=INK, va="center", family=FONT, weight="bold")
    needed = text.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width
    room = (width - left - 0.1) * figure.dpi
    if needed > room:
        text.set_fontsize(TITLE * room / needed)


def remove_ticks(axes: Axes) -> None:
    """Leaves a thin frame without ticks, for axes that hold an image."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.4, color=FAINT)


def looks(count: int, *, marked: bool = False) -> list[dict[str, Any]]:
    """Returns looks of lines that stay apart, also beyond the number of colours.

    Args:
      count: how many lines.
      marked: whether their points have markers.

    Returns:
      For each line options of `Axes.plot`: the colours of `CYCLE` in turn, and with
      every turn other dashes and another marker.
    """
    result = []
    for number in range(count):
        turn, color = divmod(number, len(CYCLE))
        look = {
            "color": CYCLE[color],
            "linestyle": _DASHES[turn % len(_DASHES)],
            "linewidth": 1.4,
        }
        if marked:
            look |= {"marker": _MARKERS[turn % len(_MARKERS)], "markersize": 3.5}
        result.append(look)
    return result


def log_ticks(axis: Axis) -> None:
    """Labels a logarithmic axis in plain numbers and without overlap.

    At powers of ten where it spans three or more, else at 1, 2 and 5 of every decade, or
    3 and 7 too; at a few even steps where there are not three of these. Call it when the
    limits are final.
    """
    low, high = axis.get_view_interval()
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for parts in ((1.0,), (1.0, 2.0, 5.0), (1.0, 2.0, 3.0, 5.0, 7.0)):
        ticks = np.outer(decades, parts)
        if np.sum((low <= ticks) & (ticks <= high)) >= 3:
            axis.set_major_locator(LogLocator(subs=parts, numticks=12))
            break
    else:
        axis.set_major_locator(MaxNLocator(4))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float) -> str:
    return f"{value:,.0f}" if 1 <= value < 1e6 and value % 1 == 0 else f"{value:g}"


def save_png(figure: Figure, path: str | os.PathLike) -> pathlib.Path:
    """Writes a figure as PNG, atomically.

    Args:
      figure: what to write.
      path: ends in ".png"; its folder is made if it is missing.

    Returns:
      `path`.

    Raises:
      UserError: another ending.
    """
    path = check_suffix(path, ".png")
    buffer = io.BytesIO()
    # No software stamp: the same picture gives the same bytes in every version.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return write_atomic(path, buffer.getvalue())


def check_suffix(path: str | os.PathLike, *suffixes: str) -> pathlib.Path:
    """Returns the path, or raises UserError when it has none of the endings."""
    path = pathlib.Path(path)
    if path.suffix.lower() not in suffixes:
        raise UserError(
            f"cannot write {path.name!r}: the name must end in {' or '.join(suffixes)}"
        )
    return path


def as_images(images: np.ndarray, name: str) -> np.ndarray:
    """Checks a clip and makes it float RGB that can be shown.

    Args:
      images: [T, H, W, C], C = 1 or 3; float in [0, 1] (clipped) or uint8.
      name: what an error message calls it.

    Returns:
      float32 [T, H, W, 3] in [0, 1]; values that are not finite are NaN.

    Raises:
      UserError: another rank, number of channels or dtype, or nothing to show.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise UserError(
            f"{name} must be [T, H, W, C] with C = 1 or 3 and has shape {images.shape}"
        )
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / 255
    elif images.dtype.kind != "f":
        raise UserError(
            f"{name} must be float in [0, 1] or uint8 and is {images.dtype}"
        )
    images = images.astype(np.float32)
    images = np.where(np.isfinite(images), np.clip(images, 0, 1), np.nan)
    return np.broadcast_to(images, (*images.shape[:-1], 3))


def paint_missing(images: np.ndarray) -> np.ndarray:
    """Returns pixels with a NaN a colour that no dataset uses (magenta)."""
    missing = np.isnan(images).any(axis=-1, keepdims=True)
    return np.where(missing, np.array([1, 0, 1], np.float32), images)


def as_field(field: np.ndarray, name: str = "field") -> np.ndarray:
    """Checks a field over time.

    Args:
      field: real [T, H, W], T >= 3; NaN where missing.
      name: what an error message calls it.

    Returns:
      The field as float; infinities are NaN.

    Raises:
      UserError: another rank or dtype, or too few frames for a phase.
    """
    field = np.asarray(field)
    if field.ndim != 3 or field.dtype.kind not in "fiu" or not field.size:
        raise UserError(
            f"{name} must be real [T, H, W] (one channel of one example) and is "
            f"{field.dtype} of shape {field.shape}"
        )
    if field.shape[0] < 3:
        raise UserError(f"{name} has {field.shape[0]} frames: a phase needs at least 3")
    field = field.astype(np.float32 if field.dtype == np.float32 else np.float64)
    return np.where(np.isfinite(field), field, np.nan)


def symmetric_limit(field: np.ndarray) -> float:
    """Returns L > 0 such that 99.5 % of the finite values lie in [-L, L]."""
    size = np.abs(field[np.isfinite(field)])
    limit = float(np.quantile(size, 0.995)) if size.size else 0.0
    return limit if limit > 0 else 1.0


def check_origin(origin: str) -> Literal["lower", "upper"]:
    """Returns `origin`, or raises UserError unless it is "lower" or "upper"."""
    if origin not in ("lower", "upper"):
        raise UserError(
            f"origin {origin!r} is not known: 'lower' draws row 0 at the bottom, "
            "'upper' at the top"
        )
    return "lower" if origin == "lower" else "upper"

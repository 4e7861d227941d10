"""A strip of true and forecast frames, with their difference below."""

import os
import pathlib

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.figures import style

_CELL = 0.68  # inches
_GAP = 0.05
_BREAK = 0.2  # between the last observed and the first forecast frame
_LEFT = 0.72
_MAX_OBSERVED = 3


def draw(
    path: str | os.PathLike,
    truth: np.ndarray,
    forecast: np.ndarray,
    *,
    first_frame: int,
    num_observed: int,
    title: str = "",
    num_columns: int = 11,
    origin: str = style.ORIGIN,
) -> pathlib.Path:
    """Draws true frames, forecast frames and their absolute difference over time.

    Args:
      path: the PNG to write.
      truth: [T, H, W, C], C = 1 or 3; float in [0, 1] or uint8.
      forecast: the same shape; values outside [0, 1] are clipped, NaN is magenta.
      first_frame: the number of the clip's frame at index 0.
      num_observed: frames 0 ... num_observed - 1 of the clip were shown to the model;
        what it drew for these is a reconstruction, for the others a forecast.
      title: one line above the strip.
      num_columns: how many frames are shown, at least 2: up to 3 observed ones, the
        rest evenly from the first to the last forecast frame.
      origin: "lower": row 0 at the bottom; "upper": at the top.

    Returns:
      `path`.

    Raises:
      UserError: shapes that do not fit, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    origin = style.check_origin(origin)
    truth, forecast = pair(truth, forecast)
    indices = choose(len(truth), num_observed - first_frame, num_columns)
    observed = [k for k in indices if first_frame + k < num_observed]
    later = [k for k in indices if first_frame + k >= num_observed]

    height = _CELL * min(max(truth.shape[1] / truth.shape[2], 0.5), 2.0)
    lefts = _LEFT + np.arange(len(indices)) * (_CELL + _GAP)
    if observed and later:
        lefts[len(observed) :] += _BREAK
    bar = lefts[-1] + _CELL + 0.1
    top = 0.62 if title else 0.36
    rows = top + 0.2 + np.arange(3) * (height + _GAP)
    figure = style.new_figure(bar + 0.55, rows[-1] + height + 0.1)

    if title:
        style.title(figure, _LEFT, 0.17, title)
    groups = [(observed, 0, "observed", style.OBSERVED)]
    groups.append((later, len(observed), "forecast", style.FORECAST))
    for group, start, words, color in groups:
        if group:
            left, right = lefts[start], lefts[start + len(group) - 1] + _CELL
            line = style.add_axes_inches(figure, left, top - 0.08, right - left, 0.035)
            line.set_facecolor(color)
            line.set(xticks=[], yticks=[])
            line.spines[:].set_visible(False)
            style.text_inches(
                figure, left, top - 0.19, words, style.LABEL, color=color, weight="bold"
            )

    shown = np.asarray(indices)
    error = np.abs(forecast[shown] - truth[shown]).mean(axis=-1)
    limit = max(float(np.nanmax(error, initial=0.0)), 1 / 255)
    pictures = [style.paint_missing(truth), style.paint_missing(forecast)]
    for row, words in enumerate(("truth", "model", "|error|")):
        middle = rows[row] + height / 2
        style.text_inches(figure, _LEFT - 0.08, middle, words, style.LABEL, ha="right")
        for column, k in enumerate(indices):
            axes = style.add_axes_inches(
                figure, lefts[column], rows[row], _CELL, height
            )
            style.remove_ticks(axes)
            if row < 2:
                picture = axes.imshow(pictures[row][k], origin=origin, aspect="auto")
            else:
                picture = axes.imshow(
                    error[column],
                    origin=origin,
                    aspect="auto",
                    cmap=style.SEQUENTIAL,
                    vmin=0,
                    vmax=limit,
                )
    for column, k in enumerate(indices):
        middle = lefts[column] + _CELL / 2
        words = str(first_frame + k)
        if column == 0:
            style.text_inches(
                figure, _LEFT - 0.08, top + 0.09, "frame", style.SMALL, ha="right"
            )
        style.text_inches(figure, middle, top + 0.09, words, style.SMALL, ha="center")
    scale = style.add_axes_inches(figure, bar, rows[2], 0.07, height)
    colorbar = figure.colorbar(picture, cax=scale, ticks=[0, limit])
    colorbar.ax.set_yticklabels(["0", f"{limit:.2g}"])
    colorbar.outline.set_linewidth(0.4)
    return style.save_png(figure, path)


def pair(truth: np.ndarray, forecast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checks that two clips belong together and makes both float RGB.

    Raises:
      UserError: a shape that is not [T, H, W, C], or two different ones.
    """
    if np.shape(truth) != np.shape(forecast):
        raise UserError(
            f"truth {np.shape(truth)} and forecast {np.shape(forecast)} must have the "
            "same shape: give the same frames of both"
        )
    return style.as_images(truth, "truth"), style.as_images(forecast, "forecast")


def choose(length: int, num_seen: int, num_columns: int) -> list[int]:
    """Chooses which frames a strip shows.

    Args:
      length: number of frames.
      num_seen: how many of them, from the first on, were observed (any integer).
      num_columns: how many to choose.

    Returns:
      Increasing indices in [0, length), at most `num_columns`: the last observed and
      the first forecast frame among them, and (from 3 columns on) the last one.

    Raises:
      UserError: fewer than 2 columns.
    """
    if num_columns < 2:
        raise UserError(f"a strip needs at least 2 columns, not {num_columns}")
    num_seen = min(max(num_seen, 0), length)
    if num_seen == length:
        num_early = min(length, num_columns)
    else:
        num_early = min(num_seen, _MAX_OBSERVED, num_columns - 1)
    num_late = min(num_columns - num_early, length - num_seen)
    # A single early frame is the last observed one.
    early = np.linspace(num_seen - 1, 0, num_early)
    late = np.linspace(num_seen, length - 1, num_late)
    return sorted({round(float(k)) for k in [*early, *late]})

"""Curves: the error of every forecast frame, and the loss during training."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.figures import style

# What a curve without skill is called, and how it is drawn.
_BASELINES = {
    "mean_image": ("mean image (no skill)", (0, (4, 2))),
    "last_frame": ("last observed frame (no skill)", (0, (1, 1.5))),
}
_NAMES = {"backward": "backward (from the end)"}
_LEFT = 0.82  # inches of the figure; enough for labels such as 0.00005
_SHADE = "#ececec"  # behind observed frames
_SMOOTH = 0.02  # part of the curve that one point of the bold line averages


def draw_error(
    path: str | os.PathLike,
    per_frame: Mapping[str, np.ndarray],
    *,
    first_frame: int,
    num_observed: int,
    threshold: float | None = None,
    title: str = "",
    label: str = "relative squared error per frame",
) -> pathlib.Path:
    """Draws the error of every frame on a logarithmic axis.

    Args:
      path: the PNG to write.
      per_frame: name -> errors [T], >= 0, usually sum(err^2) / sum(truth^2) averaged
        over clips. "mean_image" and "last_frame" are drawn as no-skill lines, any
        other name as a model's curve; one called "backward" was shown the last
        num_observed frames instead. Zeros and NaN leave a gap.
      first_frame: the number of the clip's frame at index 0.
      num_observed: frames 0 ... num_observed - 1 of the clip were shown to the model;
        the last of them is marked.
      threshold: the error above which a frame counts as wrong, drawn as a thin line;
        None: none is drawn.
      title: one line above the curves.
      label: of the vertical axis.

    Returns:
      `path`.

    Raises:
      UserError: no curves, curves of different lengths, none that has a positive
        value, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    curves = {name: np.asarray(values, float) for name, values in per_frame.items()}
    shapes = {name: values.shape for name, values in curves.items()}
    if len(set(shapes.values())) != 1 or any(
        len(shape) != 1 or not shape[0] for shape in shapes.values()
    ):
        raise UserError(
            f"per_frame must map names to errors [T] of one length and has {shapes}"
        )
    positive = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in curves.values()])
    if not positive.size:
        raise UserError("no error is positive and finite: there is nothing to draw")

    figure, axes = _axes(title, legend=True)
    length = len(next(iter(curves.values())))
    frames = first_frame + np.arange(length)
    colors = iter(style.CYCLE * (1 + len(curves)))
    look: dict[str, Any]
    for name, values in curves.items():
        if name == "last_frame":
            # Before the forecast begins it is not a forecast of anything.
            values = np.where(frames < num_observed, np.nan, values)
        drawable = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        marker = "o" if length == 1 else None
        if name in _BASELINES:
            words, dashes = _BASELINES[name]
            look = {"color": style.OBSERVED, "linestyle": dashes, "linewidth": 1.3}
        else:
            words = _NAMES.get(name, name.replace("_", " "))
            look = {"color": next(colors), "linewidth": 1.9, "zorder": 3}
        axes.plot(frames, drawable, label=words, marker=marker, **look)

    # Where a frame happens to return, "last_frame" dips far below all others.
    others = [v for name, v in curves.items() if name != "last_frame"]
    rest = np.concatenate(others or [positive])
    low = np.min(rest, where=np.isfinite(rest) & (rest > 0), initial=positive.max())
    high = positive.max()
    # Room for a curve that is flat.
    bottom, top = low / (high / low) ** 0.05 / 1.2, high * (high / low) ** 0.05 * 1.2
    axes.set(yscale="log", ylim=(bottom, top))
    axes.set(xlim=(frames[0] - 0.5, frames[-1] + 0.5))
    axes.set_xlabel("frame", size=style.LABEL)
    axes.set_ylabel(label, size=style.LABEL)
    style.log_ticks(axes.yaxis)
    if threshold is not None and bottom < threshold < top:
        words = f"{threshold:g}: no longer valid"
        axes.axhline(threshold, color=style.FAINT, lw=0.8, zorder=1.5, label=words)
    edge = num_observed - 0.5
    if frames[0] < edge:
        begin, end = frames[0] - 0.5, min(edge, frames[-1] + 0.5)
        axes.axvspan(begin, end, color=_SHADE, lw=0, label="observed")
    if "backward" in curves:
        last = frames[-1] + 0.5
        axes.axvspan(last - num_observed, last, color=_SHADE, lw=0)
    if frames[0] < edge < frames[-1]:
        axes.axvline(edge, color=style.INK, linewidth=0.8)
    _legend(figure, axes)
    return style.save_png(figure, path)


def draw_training(
    path: str | os.PathLike,
    metrics_file: str | os.PathLike,
    *,
    key: str = "loss",
    title: str = "",
) -> pathlib.Path:
    """Draws one number of a metrics file over the training steps.

    The thin line is what was logged, the bold one its running median. The vertical axis
    is logarithmic when all values are positive and span more than a factor of 10.

    Args:
      path: the PNG to write.
      metrics_file: lines of JSON objects with "step" and numbers. Lines without `key`
        are passed over, and so is a last line that was cut off while it was written;
        of a step that is there twice the later line counts.
      key: which number.
      title: one line above the curve.

    Returns:
      `path`.

    Raises:
      UserError: a missing or damaged file, no finite value under `key`, or a path that
        does not end in ".png".
    """
    style.check_suffix(path, ".png")
    steps, values = read_metric(metrics_file, key)
    figure, axes = _axes(title)
    color = style.FORECAST
    width = max(1, round(_SMOOTH * len(values)))
    if width > 1:
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        values_bold = _running_median(values, width)
    else:
        values_bold = values
    marker = "o" if len(steps) < 20 else None
    axes.plot(steps, values_bold, color=color, linewidth=1.8, marker=marker, ms=3)
    finite = values[np.isfinite(values)]
    if finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
        style.log_ticks(axes.yaxis)
    axes.set_xlabel("step", size=style.LABEL)
    axes.set_ylabel(key.replace("_", " "), size=style.LABEL)
    axes.margins(x=0.01)
    return style.save_png(figure, path)


def read_metric(
    metrics_file: str | os.PathLike, key: str, kind: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Reads one number of a metrics file.

    Args:
      metrics_file: as in `draw_training`.
      key: which number.
      kind: of rows that tell their kind, which ones: "train" or "eval".

    Returns:
      Increasing steps [n] int and values [n] float64, at least one of them finite.

    Raises:
      UserError: as `draw_training`.
    """
    metrics_file = pathlib.Path(metrics_file)
    lines = files.read_bytes(metrics_file).splitlines()
    by_step: dict[int, float] = {}
    keys: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            row = files.parse_json(line, metrics_file)
            if row.get("kind", kind) != kind:
                continue
            keys.update(row)
            if key in row:
                by_step[int(row["step"])] = float(row[key])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            if number == len(lines):
                break  # the writer was stopped in the middle of a line
            raise UserError(
                f"line {number} of {metrics_file} is not a JSON object with 'step'"
                f" and a number {key!r}: remove it"
            ) from None
    if not any(np.isfinite(value) for value in by_step.values()):
        there = ", ".join(sorted(keys - {"step"})) or "nothing"
        raise UserError(
            f"{metrics_file} holds no finite {key!r} to draw (it holds: {there})"
        )
    steps = np.array(sorted(by_step))
    return steps, np.array([by_step[step] for step in steps])


def _running_median(values: np.ndarray, width: int) -> np.ndarray:
    """The median over `width` neighbours (fewer at the ends), without the NaNs."""
    half = width // 2
    padded = np.pad(values.astype(float), half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    empty = np.isnan(windows).all(axis=1)
    result = np.nanmedian(np.where(empty[:, None], 0, windows), axis=1)
    return np.where(empty, np.nan, result)


def _axes(title: str, legend: bool = False) -> tuple[Figure, Axes]:
    top = 0.14 + 0.26 * bool(title) + 0.4 * legend  # two lines of words above
    figure = style.new_figure(5.6, top + 2.65)
    axes = with_grid(style.add_axes_inches(figure, _LEFT, top, 5.38 - _LEFT, 2.18))
    if title:
        style.title(figure, _LEFT, 0.2, title)
    return figure, axes


def with_grid(axes: Axes) -> Axes:
    """Takes away the frame at the top and the right, and adds thin lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _legend(figure: Figure, axes: Axes) -> None:
    """Above the axes, where it hides nothing."""
    handles, _ = axes.get_legend_handles_labels()
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=2 if len(handles) <= 4 else 3,
        fontsize=style.SMALL,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.4,
        borderaxespad=0.2,
    )

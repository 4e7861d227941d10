"""Pictures of what a recurrent network holds in mind: its state, spectrum, recall."""

import os
import pathlib

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from nwm_jax.errors import UserError
from nwm_jax.figures import style
from nwm_jax.waves import line

_LEFT, _WIDTH = 0.75, 4.75
_MOST_STEPS = 120
_END_STEPS = 50


def draw_waterfall(
    path: str | os.PathLike,
    states: np.ndarray,
    *,
    title: str = "",
    place: str = "place on the ring",
) -> pathlib.Path:
    """Draws a hidden state over time; what travels leaves slanted stripes.

    Args:
      path: the PNG to write.
      states: real ``[T, n]``, over time and place.
      title: one line above the picture.
      place: what the vertical axis counts.

    Returns:
      `path`.

    Raises:
      UserError: not ``[T, n]``, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    states = _as_sheet(states)
    figure, axes = _axes(title, 2.4)
    limit = style.symmetric_limit(states)
    signed = states.min(initial=0.0) < 0
    picture = axes.imshow(
        states.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=style.DIVERGING if signed else style.SEQUENTIAL,
        vmin=-limit if signed else 0.0,
        vmax=limit,
    )
    axes.set_xlabel("step", size=style.LABEL)
    axes.set_ylabel(place, size=style.LABEL)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _scale(figure, axes, picture, "hidden state")
    return style.save_png(figure, path)


def draw_spectrum(
    path: str | os.PathLike,
    states: np.ndarray,
    *,
    speed: float | None = 1.0,
    title: str = "",
    place: str = "place",
) -> pathlib.Path:
    """Draws the power of a hidden state over that of the same state shuffled.

    Args:
      path: the PNG to write.
      states: real ``[T, n]``, over time and place.
      speed: places a step of the waves whose line is marked, positive towards place
        0; None: no line.
      title: one line above the picture.
      place: what the wave number counts cycles by.

    Returns:
      `path`.

    Raises:
      UserError: not ``[T, n]``, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    states = _as_sheet(states)
    ratio = np.fft.fftshift(np.log10(line.over_shuffled(states)))
    # A real state has the same power at (f, q) and (-f, -q): one half is enough.
    start = states.shape[0] // 2
    figure, axes = _axes(title, 2.9)
    limit = float(np.quantile(np.abs(ratio), 0.999)) or 1.0
    frequency, number = (np.fft.fftshift(np.fft.fftfreq(n)) for n in states.shape)
    steps = [0.5 / n for n in states.shape]
    picture = axes.imshow(
        ratio[start:].T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=style.DIVERGING,
        vmin=-limit,
        vmax=limit,
        extent=(
            frequency[start] - steps[0],
            frequency[-1] + steps[0],
            number[0] - steps[1],
            number[-1] + steps[1],
        ),
    )
    axes.set_xlabel("frequency (cycles per step)", size=style.LABEL)
    axes.set_ylabel(f"wave number (cycles per {place})", size=style.LABEL)
    if speed is not None:
        _mark_line(axes, states, speed, (frequency[-1], number[-1]))
    _scale(figure, axes, picture, "log10 power\nover shuffled")
    return style.save_png(figure, path)


def _mark_line(
    axes: Axes, states: np.ndarray, speed: float, end: tuple[float, float]
) -> None:
    """Draws the borders of waves of this speed, and the share of their power."""
    top = min(end[0], abs(speed) * end[1])
    half = (line.WIDTH + 0.5) / len(states)  # in frequency, to the edge of the last bin
    for side in (-half, half):
        axes.plot(
            [side, top + side],
            [0, top / speed],
            color=style.INK,
            linewidth=0.8,
            linestyle=(0, (4, 3)),
            scalex=False,
            scaley=False,
        )
    axes.text(
        0.985,
        0.03,
        f"between the lines, {speed:g} place a step: "
        f"{line.fraction(states, speed):.0%} of the power",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        size=style.SMALL,
        color=style.INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
    )


def draw_recall(
    path: str | os.PathLike,
    inputs: np.ndarray,
    answers: np.ndarray,
    targets: np.ndarray,
    *,
    title: str = "",
) -> pathlib.Path:
    """Draws what was shown, what was answered and what was asked for.

    Args:
      path: the PNG to write.
      inputs: symbols that were shown, integers ``[T]``.
      answers: probabilities of the symbols after every step, ``[T, S]``.
      targets: symbols that were asked for, integers ``[T]``.
      title: one line above the pictures.

    Returns:
      `path`. Of long sequences the middle is left out.

    Raises:
      UserError: a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    length, symbols = answers.shape
    parts = [np.arange(length)]
    if length > _MOST_STEPS:
        parts = [np.arange(_END_STEPS), np.arange(length - _END_STEPS, length)]
    rows = {
        "shown": np.eye(symbols)[inputs],
        "answered": answers,
        "asked for": np.eye(symbols)[targets],
    }
    top, gap, height = 0.5 if title else 0.2, 0.12, 1.0
    figure = style.new_figure(6.4, top + 3 * (height + gap) + 0.5)
    if title:
        style.title(figure, _LEFT, 0.22, title)
    width = (5.4 - 0.15 * (len(parts) - 1)) / len(parts)
    for row, (name, shown) in enumerate(rows.items()):
        for column, steps in enumerate(parts):
            left = _LEFT + column * (width + 0.15)
            box = (left, top + row * (height + gap), width, height)
            axes = style.add_axes_inches(figure, *box)
            axes.imshow(
                shown[steps].T,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
                cmap=style.SEQUENTIAL,
                vmin=0,
                vmax=1,
                extent=(steps[0] - 0.5, steps[-1] + 0.5, -0.5, symbols - 0.5),
            )
            axes.set_yticks([0, symbols - 1] if column == 0 else [])
            if column == 0:
                axes.set_ylabel(name, size=style.LABEL)
            if row < len(rows) - 1:
                axes.set_xticklabels([])
            else:
                axes.set_xlabel("step", size=style.LABEL)
    return style.save_png(figure, path)


def _as_sheet(states: np.ndarray) -> np.ndarray:
    states = np.asarray(states, np.float64)
    if states.ndim != 2 or min(states.shape) < 2:
        raise UserError(
            f"states must be [T, n], 2 or more of each, and have shape {states.shape}"
        )
    return np.where(np.isfinite(states), states, 0.0)


def _axes(title: str, height: float) -> tuple[Figure, Axes]:
    top = 0.5 if title else 0.2
    figure = style.new_figure(6.6, top + height + 0.5)
    if title:
        style.title(figure, _LEFT, 0.22, title)
    return figure, style.add_axes_inches(figure, _LEFT, top, _WIDTH, height)


def _scale(figure: Figure, axes: Axes, picture: AxesImage, title: str) -> None:
    """Draws a colour bar at the right of the axes."""
    place = axes.get_position()
    width = figure.get_size_inches()[0]
    bar_axes = figure.add_axes(
        (place.x1 + 0.12 / width, place.y0, 0.1 / width, place.height)
    )
    bar = figure.colorbar(picture, cax=bar_axes)
    bar.ax.tick_params(labelsize=style.SMALL, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    bar.set_label(title, size=style.SMALL)

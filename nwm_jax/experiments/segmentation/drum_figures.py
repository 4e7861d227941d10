"""The picture of a drum: how it moves, what is heard, and the area that it implies."""

import os
import pathlib

import numpy as np

from nwm_jax.core import membrane as drum
from nwm_jax.figures import style

_SNAPSHOTS = 5


def check(path: str | os.PathLike) -> pathlib.Path:
    """Raises UserError unless a picture can be written to the path."""
    return style.check_suffix(path, ".png")


def listening_pixel(membrane: np.ndarray) -> tuple[int, int]:
    """Returns the pixel of a membrane nearest to its centroid, row and column."""
    places = np.argwhere(membrane)
    distance = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    row, column = places[int(distance.argmin())]
    return int(row), int(column)


def draw(
    path: str | os.PathLike,
    membrane: np.ndarray,
    series: np.ndarray,
    frequencies: np.ndarray,
    areas: np.ndarray,
    *,
    dt: float,
    ladder: tuple[list[float], list[float]] | None,
    shape: str,
    title: str,
) -> pathlib.Path:
    """Draws snapshots, traces and spectra of three pixels, areas and their map.

    Args:
      path: the PNG to write.
      membrane: bool ``[H, W]``.
      series: displacement, ``[T, H, W]``.
      frequencies: the lowest heard at every pixel of the membrane, ``[N]``.
      areas: what each predicts, ``[N]``.
      dt: time between two numbers of a series.
      ladder: areas of pixels, or of the clamped square, and predicted ones, of several
        sizes; None: that panel is left out.
      shape: of the ladder.
      title: one line above.

    Returns:
      `path`.

    Raises:
      UserError: a path that does not end in ".png".
    """
    check(path)
    figure = style.new_figure(10.4, 4.35)
    style.title(figure, 0.15, 0.2, title)
    box = _box(membrane)
    _snapshots(figure, membrane, series, frequencies, dt, box)
    row, column = listening_pixel(membrane)
    rows, columns = np.nonzero(membrane)
    corner = int(np.argmax((rows - row) ** 2 + (columns - column) ** 2))
    between = (row + rows[corner]) // 2, (column + columns[corner]) // 2
    pixels = {
        "middle": (row, column),
        "half way out": between if membrane[between] else (row, column),
        "farthest": (int(rows[corner]), int(columns[corner])),
    }
    low = float(np.median(frequencies))
    traces = style.add_axes_inches(figure, 0.6, 2.5, 2.7, 1.35)
    spectra = style.add_axes_inches(figure, 4.0, 2.5, 2.2, 1.35)
    shown = min(len(series), int(6 / (low * dt)))
    for (name, (i, j)), color in zip(pixels.items(), style.CYCLE, strict=False):
        traces.plot(
            dt * np.arange(1, shown + 1), series[:shown, i, j], color=color, lw=1.0
        )
        magnitude = drum.spectrum(series[:, i, j])
        bins = np.arange(len(magnitude)) / (8 * len(series) * dt)
        near = bins < 8 * low
        spectra.plot(
            bins[near],
            magnitude[near] / magnitude.max(),
            color=color,
            lw=1.0,
            label=name,
        )
    spectra.axvline(low, color=style.INK, lw=0.8, linestyle=(0, (4, 2)))
    traces.set_xlabel("time", size=style.LABEL)
    traces.set_ylabel("displacement", size=style.LABEL)
    traces.margins(x=0.01)
    spectra.set_xlabel("frequency (dashed: the lowest)", size=style.LABEL)
    spectra.set_ylabel("magnitude / largest", size=style.LABEL)
    spectra.set(xlim=(0, 8 * low))
    spectra.legend(fontsize=style.SMALL, frameon=False, handlelength=1.2)
    _map(figure, membrane, areas, box)
    if ladder is not None:
        _ladder(figure, ladder, shape, float(np.median(areas)))
    return style.save_png(figure, path)


def _box(membrane: np.ndarray) -> tuple[slice, slice]:
    """Returns the part of the canvas with the membrane and a rim of two pixels."""
    slices = []
    for axis in (1, 0):
        used = np.flatnonzero(membrane.any(axis=axis))
        slices.append(slice(max(used[0] - 2, 0), used[-1] + 3))
    return slices[0], slices[1]


def _snapshots(figure, membrane, series, frequencies, dt, box) -> None:
    period = 1 / (float(np.median(frequencies)) * dt)
    times = np.unique(np.linspace(0, period, _SNAPSHOTS).astype(int))
    times = times[times < len(series)]
    limit = style.symmetric_limit(series[: times[-1] + 1])
    for k, time in enumerate(times):
        axes = style.add_axes_inches(figure, 0.25 + 1.13 * k, 0.6, 1.07, 1.07)
        field = np.where(membrane, series[time], np.nan)[box]
        drawn = axes.imshow(field, cmap=style.DIVERGING, vmin=-limit, vmax=limit)
        axes.set_title(f"t = {dt * (time + 1):g}", size=style.SMALL, pad=3)
        style.remove_ticks(axes)
    bar = style.add_axes_inches(figure, 0.25 + 1.13 * len(times), 0.6, 0.08, 1.07)
    figure.colorbar(drawn, cax=bar, ticks=[-limit, 0, limit])
    names = [f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}"]
    bar.set_yticklabels(names, size=style.SMALL)


def _map(figure, membrane, areas, box) -> None:
    axes = style.add_axes_inches(figure, 6.75, 0.6, 1.5, 1.5)
    field = np.full(membrane.shape, np.nan)
    field[membrane] = areas
    middle = float(np.median(areas))
    drawn = axes.imshow(
        field[box], cmap=style.DIVERGING, vmin=0.99 * middle, vmax=1.01 * middle
    )
    axes.set_title("area heard at each pixel", size=style.LABEL, pad=4)
    style.remove_ticks(axes)
    bar = style.add_axes_inches(figure, 8.35, 0.6, 0.09, 1.5)
    ticks = [0.99 * middle, middle, 1.01 * middle]
    figure.colorbar(drawn, cax=bar, ticks=ticks)
    bar.set_yticklabels([f"{tick:.1f}" for tick in ticks], size=style.SMALL)
    spread = 100 * float(np.ptp(areas)) / middle
    style.text_inches(
        figure, 9.0, 1.35, f"all within\n{spread:.2g} %", style.SMALL, ha="left"
    )


def _ladder(figure, ladder, shape: str, here: float) -> None:
    true, predicted = ladder
    axes = style.add_axes_inches(figure, 7.1, 2.5, 2.6, 1.35)
    ends = [0, 1.08 * max(*true, *predicted)]
    axes.plot(ends, ends, color=style.FAINT, lw=0.9)
    axes.plot(true, predicted, "o", ms=4, color=style.FORECAST)
    axes.axhline(here, color=style.ACCENT, lw=0.8, linestyle=(0, (4, 2)))
    unit = "(side + 1)²" if shape == "square" else "pixels of the drum"
    axes.set_xlabel(f"area: {unit}", size=style.LABEL)
    axes.set_ylabel("area that is heard", size=style.LABEL)
    axes.set(xlim=ends, ylim=ends)

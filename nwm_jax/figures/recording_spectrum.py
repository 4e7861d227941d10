"""The picture of a recording's power by frequency and wave vector."""

import os
import pathlib

import numpy as np

from nwm_jax.figures import style
from nwm_jax.waves.describe import Units
from nwm_jax.waves.spectrum import Spectrum

_PLAIN = Units()
_MINUS = "\N{MINUS SIGN}"


def draw_spectrum(
    path: str | os.PathLike,
    spectrum: Spectrum,
    *,
    cell: float = 1.0,
    units: Units = _PLAIN,
    origin: str = style.ORIGIN,
) -> pathlib.Path:
    """Draws the power by frequency and wave vector.

    The first three pictures sum over the third axis and show decibels below the
    highest; waves go towards their place on it (right: towards higher columns). The
    last shows the mean power at each wave number, and that of the shuffled cells.

    Args:
      path: the PNG to write.
      spectrum: from `waves.space_time_spectrum`.
      cell: the side of a cell.
      units: of time and length.
      origin: "lower" or "upper": which way the axis of the row numbers points.

    Returns:
      `path`.

    Raises:
      UserError: an unknown origin, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    style.check_origin(origin)
    frequency = spectrum.frequency
    rows, columns = spectrum.rows / cell, spectrum.columns / cell
    power = spectrum.power
    figure = style.new_figure(9.9, 2.75)
    best_frequency, best = spectrum.peak()
    best = best / cell
    names = ("columns", "frequency"), ("rows", "frequency"), ("columns", "rows")
    sides = (columns, frequency), (rows, frequency), (columns, rows)
    marks = (best[1], best_frequency), (best[0], best_frequency), (best[1], best[0])
    for k, (along, (x, y), mark) in enumerate(
        zip((1, 2, 0), sides, marks, strict=False)
    ):
        axes = style.add_axes_inches(figure, 0.55 + 2.3 * k, 0.45, 1.7, 1.75)
        total = power.sum(axis=along)
        level = (
            10 * np.log10(np.maximum(total / total.max(), 1e-12))
            if total.max() > 0
            else total
        )
        picture = axes.imshow(
            level,
            cmap="viridis",
            vmin=-30,
            vmax=0,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=_extent(x) + _extent(y),
        )
        axes.plot(*mark, "o", ms=9, mfc="none", mec=style.ACCENT, mew=1.2)
        unit = {
            "columns": f"wave number of columns, {units.number}",
            "rows": f"wave number of rows, {units.number}",
            "frequency": f"frequency, {units.frequency}",
        }
        axes.set_xlabel(unit[names[k][0]], size=style.SMALL, labelpad=1)
        axes.set_ylabel(unit[names[k][1]], size=style.SMALL, labelpad=1)
        if k == 2 and origin == "upper":
            axes.invert_yaxis()
    bar = style.add_axes_inches(figure, 0.55 + 2.3 * 2 + 1.76, 0.45, 0.07, 1.75)
    figure.colorbar(picture, cax=bar, ticks=[-30, -15, 0])
    bar.set_yticklabels([f"{_MINUS}30", f"{_MINUS}15", "0 dB"])
    bar.tick_params(labelsize=style.SMALL, length=2, width=0.5)

    axes = style.add_axes_inches(figure, 7.85, 0.45, 1.9, 1.75)
    number, mean = _rings(power, rows, columns)
    axes.plot(number, mean, color=style.FORECAST, label="recording")
    if spectrum.control is not None:
        number, control = _rings(spectrum.control, rows, columns)
        axes.plot(number, control, "--", color=style.OBSERVED, label="cells shuffled")
        axes.legend(fontsize=style.SMALL, frameon=False)
    axes.set_xlabel(f"wave number, {units.number}", size=style.SMALL, labelpad=1)
    if mean.max(initial=0.0) > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        # Four decades at the most, and not so few that the scatter of noise looks
        # like structure.
        axes.set_ylim(np.clip(low, high / 1e4, high / 10), 4 * high)
        style.log_ticks(axes.yaxis)
    words = f"peak: {best_frequency:.3g} {units.frequency}"
    if spectrum.at_least():
        words += f", wavelength at least {spectrum.longest * cell:.3g} {units.lengths}"
    elif best.any():
        words += f", wavelength {2 * np.pi / np.hypot(*best):.3g} {units.lengths}"
    style.text_inches(figure, 0.55, 0.2, words, style.LABEL)
    words = "mean power"
    if np.isfinite(spectrum.p_value):
        words += f"; p = {spectrum.p_value:.2g}, shuffled cells"
    style.text_inches(figure, 7.45, 0.2, words, style.LABEL)
    return style.save_png(figure, path)


def _rings(
    power: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean power in rings of wave numbers, summed over frequency; 0 left out."""
    number = np.hypot(rows[:, None], columns)
    steps = [axis[1] - axis[0] for axis in (rows, columns) if len(axis) > 1]
    width = min(steps, default=1.0)
    ring = np.round(number / width).astype(int)
    inside = (ring > 0) & (number <= max(np.abs(rows).max(), np.abs(columns).max()))
    count = np.bincount(ring[inside])
    total = np.bincount(ring[inside], power.sum(axis=0)[inside])
    full = count > 0
    return np.flatnonzero(full) * width, total[full] / count[full]


def _extent(values: np.ndarray) -> tuple[float, float]:
    half = (values[1] - values[0]) / 2 if len(values) > 1 else 0.5
    return values[0] - half, values[-1] + half

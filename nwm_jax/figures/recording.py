"""Pictures of an analysed recording: snapshots, directions, spectrum."""

import os
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.spatial
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from nwm_jax.figures import recording_movie, recording_spectrum, style, waves
from nwm_jax.waves.analysis import Analysis
from nwm_jax.waves.arrays import spread
from nwm_jax.waves.coherence import direction_coherence
from nwm_jax.waves.describe import Units
from nwm_jax.waves.sites import Sites, site_velocity
from nwm_jax.waves.velocity import direction, phase_speed, temporal_frequency

_ORIGIN = "upper"  # recordings are stored from the top, like photographs
_PERIODS = 6
_MOST_FRAMES = 1024
_ARROWS = 12
_PLAIN = Units()


def draw(
    folder: str | os.PathLike,
    analysis: Analysis,
    *,
    fs: float,
    boundary: str | tuple[str, str],
    units: Units,
) -> list[pathlib.Path]:
    """Draws all pictures of a recording into a folder.

    snapshots.png: a period in the middle of the record, with phase and velocity.
    space_time.png: the middle row over a few periods. directions.png: see
    `draw_directions`. spectrum.png: see `recording_spectrum`. waves.webp: the middle of the
    record as an animation. Row 0 is at the top. Scattered sites are drawn as the cells
    of a grid that are nearest to them.

    Args:
      folder: where to; it is made if it is missing.
      analysis: from `waves.analysis.analyse`.
      fs: samples per unit of time.
      boundary: of the sheet, as in `waves.phase_gradient`.
      units: of time and length.

    Returns:
      The paths of the pictures.

    Raises:
      UserError: as `waves.phase_gradient`.
    """
    folder = pathlib.Path(folder)
    signal, sites = analysis.signal, analysis.sites
    sheet, cell = raster(sites)
    boundary = boundary if sites.shape is not None else "open"
    omega = np.asarray(signal[spread(len(signal) - 1, _MOST_FRAMES)[:, None] + [0, 1]])
    omega = np.abs(temporal_frequency(omega, axis=1))
    omega = omega[np.isfinite(omega)]
    period = 2 * np.pi / max(float(np.median(omega)) if omega.size else 0.0, 1e-6)
    start, stop = _middle(len(signal), period, 1.5)
    first, last = _middle(len(signal), period, _PERIODS)
    skipped = analysis.result["statistics"].get("skipped", 0)
    axes: dict[str, Any] = {"fs": fs, "cell": cell, "units": (units.time, units.length)}
    drawn = [
        waves.draw_snapshots(
            folder / "snapshots.png",
            sheet(signal[start:stop]),
            first_frame=start + skipped,
            boundary=boundary,
            origin=_ORIGIN,
            title="one period in the middle of the recording",
            **axes,
        ),
        waves.draw_space_time(
            folder / "space_time.png",
            sheet(signal[first:last]).real,
            first_frame=first + skipped,
            title="the middle row over time",
            **axes,
        ),
        draw_directions(
            folder / "directions.png",
            signal,
            sites,
            fs=fs,
            units=units,
            sheet=(sheet, cell),
            speed=analysis.result["statistics"]["speed"],
            origin=_ORIGIN,
        ),
        recording_spectrum.draw_spectrum(
            folder / "spectrum.png",
            analysis.spectrum,
            cell=sites.cell,
            units=units,
            origin=_ORIGIN,
        ),
    ]
    movie = folder / "waves.webp"
    drawn.append(
        recording_movie.save(
            movie, analysis, sheet, cell, fs=fs, period=period, units=units
        )
    )
    return drawn


def raster(sites: Sites) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """Returns a function from [T, N, ...] to [T, H, W, ...], and the side of a cell."""
    if sites.shape is not None:
        shape, at, cell = (
            sites.shape,
            np.full(int(np.prod(sites.shape)), -1),
            sites.cell,
        )
        at[sites.index] = np.arange(len(sites.index))
    else:
        cell = sites.spacing / 2
        low = sites.position.min(axis=0) - sites.spacing / 2
        shape = np.ceil((np.ptp(sites.position, axis=0) + sites.spacing) / cell)
        shape = tuple(np.maximum(shape.astype(int), 1))
        places = low + (np.indices(shape).reshape(2, -1).T + 0.5) * cell
        apart, at = scipy.spatial.cKDTree(sites.position).query(places)
        at[apart > 0.8 * sites.spacing] = -1

    def sheet(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values)
        out = values[:, np.maximum(at, 0)]
        out[:, at < 0] = np.nan
        return out.reshape(len(values), *shape, *values.shape[2:])

    return sheet, cell


def draw_directions(
    path: str | os.PathLike,
    signal: np.ndarray,
    sites: Sites,
    *,
    fs: float = 1.0,
    units: Units = _PLAIN,
    sheet: tuple[Callable[[np.ndarray], np.ndarray], float] | None = None,
    speed: float | None = None,
    origin: str = style.ORIGIN,
) -> pathlib.Path:
    """Draws where the waves go: their mean velocity, all directions, all speeds.

    Left: arrows are nu averaged over time, the shade how steady its direction is at
    each site (`waves.direction_coherence` over time). Middle: how often each direction
    occurs, over sites and times, areas proportional to counts, turned like the picture
    on the left. Right: phase speeds of single sites and frames, which noise makes too
    low, and a line at the headline.

    Args:
      path: the PNG to write.
      signal: complex [T, N]; of long records 1,024 frames, evenly spread, are drawn.
      sites: the N places.
      fs: samples per unit of time.
      units: of time and length.
      sheet: from `raster`; None: that of the sites.
      speed: the headline; None: the median of single sites.
      origin: "lower": row 0 at the bottom; "upper": at the top.

    Returns:
      `path`.

    Raises:
      UserError: an unknown origin, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    origin = style.check_origin(origin)
    to_sheet, cell = raster(sites) if sheet is None else sheet
    frames = spread(len(signal) - 1, _MOST_FRAMES)
    some = np.asarray(signal[frames])
    omega = temporal_frequency(np.stack([some, signal[frames + 1]]))[0]
    velocity = site_velocity(some, sites)
    slow = phase_speed(omega, velocity, min_wave_number=1e-3 / sites.spacing)
    speeds = np.abs(slow) * fs
    angles = direction(velocity)
    angles, speeds = angles[np.isfinite(angles)], speeds[np.isfinite(speeds)]
    steady = to_sheet(direction_coherence(velocity, axis=0)[None])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a site without a phase
        per_site = np.nanmean(velocity, axis=0)
    mean = to_sheet(per_site[None])[0]
    height, width = steady.shape
    figure = style.new_figure(8.6, 3.2)

    shape = np.array([height, width]) / max(height, width)
    box = np.clip(shape, 0.3, 1) * 2.2
    place = (0.3, 0.55 + (2.2 - box[0]) / 2, box[1], box[0])
    axes = style.add_axes_inches(figure, *place)
    picture = axes.imshow(
        steady,
        cmap=style.SEQUENTIAL,
        vmin=0,
        vmax=1,
        alpha=0.55,
        origin=origin,
        aspect="auto",
        interpolation="nearest",
    )
    _arrows(axes, mean)
    style.remove_ticks(axes)
    words = "mean ν and its steadiness"
    if units.length != "cell":
        words += f"; {height * cell:.3g} x {width * cell:.3g} {units.length}"
    _title(figure, 0.3, words)
    _bar(figure, picture, (0.4 + box[1], 0.75, 0.09, 1.8), [0, 0.5, 1])

    axes = figure.add_axes((3.85 / 8.6, 0.3 / 3.2, 2.0 / 8.6, 2.1 / 3.2), polar=True)
    bins = np.linspace(-np.pi, np.pi, 37)
    share = np.histogram(angles, bins)[0] / max(len(angles), 1)
    # Areas, not radii, are what the eye compares.
    axes.bar(
        bins[:-1],
        np.sqrt(share),
        width=bins[1] - bins[0],
        align="edge",
        color=style.FORECAST,
        edgecolor="white",
        linewidth=0.3,
    )
    axes.set(theta_direction=-1 if origin == "upper" else 1)
    axes.set_xticks(np.arange(4) * np.pi / 2, ["right", "rows +", "left", "rows −"])
    axes.set_yticks([])
    axes.tick_params(labelsize=style.SMALL, pad=-1)
    axes.spines["polar"].set(linewidth=0.5, color=style.FAINT)
    axes.grid(linewidth=0.3)
    coherence = float(direction_coherence(per_site))
    _title(figure, 3.7, f"directions; coherence of the mean {coherence:.2f}")

    axes = style.add_axes_inches(figure, 6.55, 0.55, 1.85, 2.05)
    if speeds.size:
        low, high = np.quantile(speeds, [0.005, 0.995])
        edges = np.geomspace(low, max(high, low * 1.2), 41)
        axes.hist(speeds, edges.tolist(), color=style.FORECAST)
        middle = float(np.median(speeds)) if speed is None else speed
        axes.axvline(middle, color=style.ACCENT, linewidth=1)
        axes.set_xscale("log")
        style.log_ticks(axes.xaxis)
        _title(figure, 6.5, f"phase speed; headline {middle:.3g}")
    axes.set_yticks([])
    axes.set_xlabel(units.speed, size=style.LABEL)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    return style.save_png(figure, path)


def _middle(length: int, period: float, count: float) -> tuple[int, int]:
    """Start and stop of `count` periods (at least 8 frames) in the middle."""
    size = int(min(length, max(8, np.ceil(period * count))))
    start = (length - size) // 2
    return start, start + size


def _arrows(axes: Axes, mean: np.ndarray) -> None:
    """Draws vectors [H, W, 2], averaged over blocks; the longest fifth are equal."""
    block = max(1, -(-max(mean.shape[:2]) // _ARROWS))
    rows, columns, vectors = [], [], []
    for i in range(0, mean.shape[0], block):
        for j in range(0, mean.shape[1], block):
            part = mean[i : i + block, j : j + block].reshape(-1, 2)
            part = part[np.isfinite(part).all(axis=1)]
            if len(part):
                rows.append(min(i + (block - 1) / 2, mean.shape[0] - 1))
                columns.append(min(j + (block - 1) / 2, mean.shape[1] - 1))
                vectors.append(part.mean(axis=0))
    arrows = np.array(vectors).reshape(-1, 2)
    length = np.hypot(*arrows.T)
    if not length.max(initial=0.0):
        return
    # The few steep places about a singularity must not shrink all other arrows.
    scale = max(float(np.quantile(length, 0.8)), length.max() / 4)
    arrows = arrows / np.maximum(length, scale)[:, None] * block
    axes.quiver(
        columns,
        rows,
        arrows[:, 1],
        arrows[:, 0],
        angles="xy",
        scale_units="xy",
        scale=1.0,
        pivot="mid",
        units="inches",
        width=0.016,
        minlength=0,
        color=style.INK,
    )


def _title(figure: Figure, left: float, words: str) -> None:
    style.text_inches(figure, left, 0.22, words, style.LABEL)


def _bar(
    figure: Figure,
    picture: AxesImage,
    box: tuple[float, float, float, float],
    ticks: list[float],
) -> None:
    axes = style.add_axes_inches(figure, *box)
    figure.colorbar(picture, cax=axes, ticks=ticks)
    axes.tick_params(labelsize=style.SMALL, length=2, width=0.5)

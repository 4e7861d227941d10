"""A recording as an animation: the field, arrows of its waves, and what they are."""

import io
import os
import pathlib
from collections.abc import Callable

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from nwm_jax.figures import style
from nwm_jax.figures.waves import mean_blocks
from nwm_jax.files import write_atomic
from nwm_jax.waves.analysis import Analysis
from nwm_jax.waves.describe import Units
from nwm_jax.waves.sites import site_velocity, smoothing

_PERIODS, _MOST_FRAMES = 6, 120
_SIDE = 320  # pixels of the longer side
_TOP = 44  # for two lines of text
_ARROWS = 9
_FPS = 15


def save(
    path: str | os.PathLike,
    analysis: Analysis,
    sheet: Callable[[np.ndarray], np.ndarray],
    cell: float,
    *,
    fs: float,
    period: float,
    units: Units,
) -> pathlib.Path:
    """Animates about six periods in the middle of a recording.

    Red and blue are the real part of the signal, arrows its smoothed nu = -grad phi;
    above stand the time and the waves that are under way. A source, sink or centre of
    rotation is a ring.

    Args:
      path: the WebP to write.
      analysis: from `waves.analysis.analyse`.
      sheet, cell: from `recording.raster`.
      fs: samples per unit of time.
      period: of the waves, frames.
      units: of time and length.

    Returns:
      `path`.
    """
    path = style.check_suffix(path, ".webp")
    signal, sites = analysis.signal, analysis.sites
    size = int(min(len(signal), max(8, np.ceil(_PERIODS * period))))
    start = (len(signal) - size) // 2
    frames = start + np.arange(0, size, -(-size // _MOST_FRAMES))
    some = np.asarray(signal[frames])
    field = sheet(some).real
    scale = max(analysis.result["fronts"]["smoothed_over"], sites.extent / 20)
    velocity = sheet(site_velocity(smoothing(sites, scale)(some), sites))
    block = max(1, -(-max(field.shape[1:]) // _ARROWS))
    places, arrows = mean_blocks(velocity, block)
    longest = float(np.nanquantile(np.hypot(*arrows.T), 0.95)) or 1.0
    zoom = _SIDE / max(field.shape[1:])
    box = tuple(max(1, round(side * zoom)) for side in field.shape[1:])
    limit = style.symmetric_limit(field)
    font = ImageFont.truetype(font_manager.findfont(style.FONT), 13)
    low = sites.position.min(axis=0) if sites.shape is None else np.zeros(2)
    margin = sites.spacing / 2 if sites.shape is None else cell / 2
    pictures = []
    for k, frame in enumerate(frames):
        shown = style.DIVERGING(np.ma.masked_invalid(field[k] / limit / 2 + 0.5))
        picture = Image.fromarray((shown[..., :3] * 255).astype(np.uint8))
        picture = picture.resize(box[::-1], Image.Resampling.NEAREST)
        canvas = Image.new("RGB", (max(box[1], 260), box[0] + _TOP), "white")
        canvas.paste(picture, (0, _TOP))
        pen = ImageDraw.Draw(canvas)
        for row, column, way in zip(*places, arrows[k], strict=False):
            if np.isfinite(way).all():
                at = (np.array([row, column]) + 0.5) * zoom + [_TOP, 0]
                way = way / max(longest, np.hypot(*way)) * block * zoom * 0.8
                _arrow(pen, at, way)
        time = frame / fs
        now = _under_way(analysis.fronts, time)
        for center in analysis.fronts.center[now]:
            at = (center - low + margin) / cell * zoom
            if np.isfinite(at).all() and (at >= 0).all() and (at < box).all():
                y, x = np.add(at, (_TOP, 0))
                pen.ellipse((x - 7, y - 7, x + 7, y + 7), outline="black", width=2)
        kinds = ", ".join(analysis.fronts.kind[now]) or "no wave"
        moment = time + analysis.result["statistics"]["skipped"] / fs
        pen.text((4, 4), f"{moment:.4g} {units.time}", "black", font)
        pen.text((4, 22), kinds, "black", font)
        pictures.append(canvas)
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / _FPS),
        loop=0,
        quality=70,
    )
    return write_atomic(path, buffer.getvalue())


def _under_way(fronts, time: float) -> np.ndarray:
    """The indices of at most 3 waves that pass at a time, the largest first."""
    now = (fronts.start <= time) & (time <= fronts.start + fronts.duration)
    at = np.flatnonzero(now)
    return at[np.argsort(-fronts.cells[at], kind="stable")][:3]


def _arrow(pen: ImageDraw.ImageDraw, middle: np.ndarray, way: np.ndarray) -> None:
    """Draws an arrow (row, column) about its middle."""
    length = np.hypot(*way)
    if length < 2:
        return
    tip, tail = middle + way / 2, middle - way / 2
    along = way / length
    side = np.array([-along[1], along[0]])
    head = min(6.0, 0.5 * length)
    points = [tip, tip - head * (along + 0.6 * side), tip - head * (along - 0.6 * side)]
    pen.line([tuple(tail[::-1]), tuple(tip[::-1])], "black", 2)
    pen.polygon([tuple(point[::-1]) for point in points], "black")

"""Truth, forecast, hidden state and phase side by side, as a GIF or animated WebP.

Drawn with Pillow, not matplotlib: a second for 90 frames instead of half a minute, and
flat blocks of few colours that compress well.
"""

import functools
import io
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib import font_manager
from matplotlib.colors import Colormap
from PIL import Image, ImageColor, ImageDraw, ImageFont

from nwm_jax.errors import UserError
from nwm_jax.figures import strip, style
from nwm_jax.files import write_atomic
from nwm_jax.waves.phase import phase

_SIDES = (176, 144, 120, 100)  # heights of a panel in pixels, tried in this order
_BYTES_PER_FRAME = 11_000  # until a clip of 90 frames is under a megabyte
_MARGIN = 14
_TOP = 30  # room for the panels' names
_SCALE = 26  # room for the colour bars
_FOOT = 34  # room for the time line
_LEVELS = {".gif": 20, ".webp": 64}  # colours of one map; few make a small GIF
_IMAGE_STEP = (
    8  # of 255: images in a GIF are rounded to it, so that faint noise is flat
)
_UI_COLORS = ("#ffffff", style.INK, "#5f5f5f", style.FORECAST, "#c4c4c4", "#a9cfe6")


def save(
    path: str | os.PathLike,
    truth: np.ndarray,
    forecast: np.ndarray,
    field: np.ndarray | None,
    *,
    num_observed: int,
    first_frame: int = 0,
    fps: int = 20,
    origin: str = style.ORIGIN,
) -> pathlib.Path:
    """Animates a clip, its forecast, and the hidden field that made it.

    The field x is shown on a diverging map with symmetric limits (the 99.5 % quantile
    of |x| over the clip), its phase (`waves.phase`, mean over time removed) on a cyclic
    one. A time line marks observed and forecast frames.

    Args:
      path: ends in ".gif" or ".webp"; both play in a browser for ever.
      truth: [T, H, W, C], C = 1 or 3; float in [0, 1] or uint8.
      forecast: the same shape; values outside [0, 1] are clipped, NaN is magenta.
      field: x, real [T, H', W'], at the same times; rings as [T, rings, ring]. None for
        a model without a field: the two panels are left out.
      num_observed: frames 0 ... num_observed - 1 of the clip were shown to the model.
      first_frame: the number of the clip's frame at index 0.
      fps: frames per second, 1 to 50.
      origin: "lower": row 0 at the bottom; "upper": at the top. Images and field alike.

    Returns:
      `path`.

    Raises:
      UserError: shapes that do not fit, another ending, or an impossible `fps`.
    """
    path = style.check_suffix(path, ".gif", ".webp")
    style.check_origin(origin)
    if not 1 <= fps <= 50:
        raise UserError(f"fps must be from 1 to 50 and is {fps}")
    truth, forecast = strip.pair(truth, forecast)
    suffix = path.suffix.lower()
    panels = [
        _Panel("truth", _pixels(truth, suffix)),
        _Panel("model", _pixels(forecast, suffix)),
    ]
    if field is not None:
        field = style.as_field(field)
        if len(field) != len(truth):
            raise UserError(
                f"the field has {len(field)} frames and the images {len(truth)}: "
                "give the same frames of both"
            )
        limit = style.symmetric_limit(field)
        ends = (f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}")
        scaled = (field / limit + 1) / 2
        panels.append(_paint("hidden state x", scaled, style.DIVERGING, ends, suffix))
        ends = ("\N{MINUS SIGN}π", "0", "π")
        scaled = phase(field) / (2 * np.pi) + 0.5
        panels.append(_paint("phase of x", scaled, style.CYCLIC, ends, suffix))
    if origin == "lower":
        panels = [p._replace(pixels=p.pixels[:, ::-1]) for p in panels]

    palette = _palette(panels) if suffix == ".gif" else None
    for side in _SIDES:
        frames = _draw_frames(panels, side, first_frame, num_observed)
        content = _encode(frames, palette, fps)
        if len(content) <= _BYTES_PER_FRAME * len(frames):
            break
    return write_atomic(path, content)


def save_field(
    path: str | os.PathLike,
    stills: Mapping[str, np.ndarray],
    field: np.ndarray,
    *,
    fps: int = 10,
) -> pathlib.Path:
    """Animates a field over time beside pictures that stand still.

    Args:
      path: ends in ".gif" or ".webp".
      stills: pictures by name, uint8 [H, W, 3] each.
      field: real [T, H, W], on a diverging map as in `save`.
      fps: frames per second, 1 to 50.

    Row 0 is at the top of all.

    Returns:
      `path`.

    Raises:
      UserError: another ending, an impossible `fps`, or a field of another rank.
    """
    path = style.check_suffix(path, ".gif", ".webp")
    if not 1 <= fps <= 50:
        raise UserError(f"fps must be from 1 to 50 and is {fps}")
    suffix = path.suffix.lower()
    field = style.as_field(field)
    panels = [
        _Panel(name, np.broadcast_to(still, (len(field), *still.shape)))
        for name, still in stills.items()
    ]
    limit = style.symmetric_limit(field)
    ends = (f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}")
    panels.append(
        _paint("state", (field / limit + 1) / 2, style.DIVERGING, ends, suffix)
    )
    palette = _palette(panels) if suffix == ".gif" else None
    frames = _draw_frames(panels, _SIDES[1], 1, 1, ("", ""))
    return write_atomic(path, _encode(frames, palette, fps))


class _Panel(NamedTuple):
    name: str
    pixels: np.ndarray  # uint8 [T, H, W, 3], row 0 at the top
    bar: np.ndarray | None = None  # the colours of its map, uint8 [1, levels, 3]
    ends: tuple[str, ...] = ()  # what is written under the bar


def _pixels(images: np.ndarray, suffix: str) -> np.ndarray:
    """Float RGB [T, H, W, 3] to uint8."""
    values = style.paint_missing(images) * 255
    if suffix == ".gif":
        values = np.minimum(np.rint(values / _IMAGE_STEP) * _IMAGE_STEP, 255)
    return np.rint(values).astype(np.uint8)


def _paint(
    name: str,
    values: np.ndarray,
    colormap: Colormap,
    ends: tuple[str, ...],
    suffix: str,
) -> _Panel:
    """Colours values [T, H, W] in [0, 1] by the few levels of a map; NaN is grey."""
    count = _LEVELS[suffix]
    colors = colormap((np.arange(count) + 0.5) / count)[None, :, :3]
    levels = np.clip(np.floor(values * count), 0, count - 1)
    pixels = colormap((levels + 0.5) / count)[..., :3]
    shown, bar = (np.rint(part * 255).astype(np.uint8) for part in (pixels, colors))
    return _Panel(name, shown, bar, ends)


def _draw_frames(
    panels: list[_Panel],
    side: int,
    first_frame: int,
    num_observed: int,
    phases: tuple[str, str] = ("observed", "forecast"),
) -> list[Image.Image]:
    """All frames with panels of a height of `side` pixels."""
    widths = []
    for panel in panels:
        height, width = panel.pixels.shape[1:3]
        # Long rings are drawn with stretched cells rather than as a thread.
        widths.append(round(side * min(max(width / height, 0.5), 1.6)))
    lefts = [_MARGIN * (i + 1) + sum(widths[:i]) for i in range(len(widths))]
    below = _FOOT if all(panel.bar is None for panel in panels) else _SCALE + _FOOT
    size = (lefts[-1] + widths[-1] + _MARGIN, _TOP + side + below)
    length = len(panels[0].pixels)
    part = min(max((num_observed - first_frame) / length, 0), 1)
    backdrop = _backdrop(panels, size, lefts, widths, part)
    frames = []
    for k in range(length):
        frame = backdrop.copy()
        for panel, left, width in zip(panels, lefts, widths, strict=False):
            picture = Image.fromarray(np.ascontiguousarray(panel.pixels[k]))
            picture = picture.resize((width, side), Image.Resampling.NEAREST)
            frame.paste(picture, (left, _TOP))
        _draw_time(frame, k, length, first_frame, num_observed, phases)
        frames.append(frame)
    return frames


def _backdrop(
    panels: list[_Panel],
    size: tuple[int, int],
    lefts: list[int],
    widths: list[int],
    part_observed: float,
) -> Image.Image:
    """What does not move: names, colour bars and the time line."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for panel, left, width in zip(panels, lefts, widths, strict=False):
        middle = left + width / 2
        draw.text((middle, _TOP / 2 + 1), panel.name, style.INK, _font(13), "mm")
        if panel.bar is None:
            continue
        bar = Image.fromarray(panel.bar).resize((width, 6), Image.Resampling.NEAREST)
        top = size[1] - _FOOT - _SCALE + 5
        image.paste(bar, (left, top))
        for place, anchor, words in zip(
            (0, 0.5, 1), ("la", "ma", "ra"), panel.ends, strict=False
        ):
            spot = (left + place * (width - 1), top + 8)
            draw.text(spot, words, style.INK, _font(10), anchor)
    left, right, line = _time_line(image)
    edge = left + (right - left) * part_observed
    draw.rectangle((left, line - 2, edge, line + 2), "#c4c4c4")
    draw.rectangle((edge, line - 2, right, line + 2), "#a9cfe6")
    return image


def _time_line(image: Image.Image) -> tuple[int, int, int]:
    """Left end, right end and height of the time line in pixels."""
    return _MARGIN + 172, image.width - _MARGIN - 1, image.height - 18


def _draw_time(
    image: Image.Image,
    k: int,
    length: int,
    first_frame: int,
    num_observed: int,
    phases: tuple[str, str],
) -> None:
    """The frame's number, whether it was observed, and a mark on the time line."""
    frame = first_frame + k
    words, color = phases[1], style.FORECAST
    if frame < num_observed:
        words, color = phases[0], "#5f5f5f"
    draw = ImageDraw.Draw(image)
    left, right, line = _time_line(image)
    draw.text((_MARGIN, line), f"frame {frame}", style.INK, _font(13), "lm")
    draw.text((_MARGIN + 84, line), words, color, _font(13, "bold"), "lm")
    place = left + (right - left) * (k + 0.5) / length
    draw.rectangle((place - 2, line - 7, place + 2, line + 7), color)


def _palette(panels: list[_Panel]) -> Image.Image:
    """One palette for the whole clip, so that colours do not flicker.

    The colours of lettering and maps are there exactly, the images share what is left.
    At least one of the 256 places stays free: Pillow marks with it what does not change
    from one frame to the next.
    """
    colors = {ImageColor.getrgb(name) for name in _UI_COLORS}
    colors |= {(grey, grey, grey) for grey in (238, 215, 190, 160, 130, 100, 70)}
    images = []
    for panel in panels:
        if panel.bar is None:
            images.append(panel.pixels.reshape(-1, 3))
        else:
            result = np.unique(panel.pixels.reshape(-1, 3), axis=0)
            colors |= {tuple(color) for color in result.tolist()}
    pixels = np.concatenate(images)
    pixels = pixels[:: max(1, len(pixels) // 200_000)]
    shared = Image.fromarray(np.ascontiguousarray(pixels[None])).quantize(
        254 - len(colors), Image.Quantize.MEDIANCUT
    )
    values = [value for color in sorted(colors) for value in color]
    rest = shared.getpalette("RGB")
    assert rest is not None  # a quantized image has one
    palette = Image.new("P", (1, 1))
    palette.putpalette(values + rest)
    return palette


def _encode(frames: list[Image.Image], palette: Image.Image | None, fps: int) -> bytes:
    """A GIF of the colours of `palette`, or without one a lossless WebP."""
    options: dict[str, Any] = {"format": "WEBP", "lossless": True, "method": 2}
    unit = 1  # millisecond
    if palette is not None:
        none = Image.Dither.NONE
        frames = [frame.quantize(palette=palette, dither=none) for frame in frames]
        # disposal=1: a frame is drawn over the one before, only changes are stored.
        options = {"format": "GIF", "disposal": 1}
        unit = 10
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        save_all=True,
        append_images=frames[1:],
        duration=_durations(len(frames), fps, unit),
        loop=0,
        **options,
    )
    return buffer.getvalue()


def _durations(count: int, fps: int, unit: int) -> list[int]:
    """How long each of `count` frames is shown, in milliseconds.

    A file counts time in whole units (a GIF in hundredths of a second). The ends of the
    frames are rounded, not their lengths: the errors of many frames do not add up.
    """
    ends = np.rint(np.arange(count + 1) * (1000 / fps) / unit).astype(int) * unit
    return np.diff(ends).tolist()


@functools.cache
def _font(size: int, weight: str = "normal") -> ImageFont.FreeTypeFont:
    properties = font_manager.FontProperties(family=style.FONT, weight=weight)
    return ImageFont.truetype(font_manager.findfont(properties), size)

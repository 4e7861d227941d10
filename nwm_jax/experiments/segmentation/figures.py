"""Pictures of segmentations: answers, waves over time, spectra, receptive fields."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from nwm_jax.figures import animation, style

_SHOWN = 8
_TILE = 0.92  # inches of an image
_GAP = 0.06
_PALETTE = ("#111111", *style.CYCLE, "#f0e442", "#999999", "#7b3294", "#a6611a")


def class_colors(count: int) -> ListedColormap:
    """Returns one colour for each class; the background is dark."""
    return ListedColormap([_PALETTE[0], *_colors(count)])


def _colors(count: int) -> list[str]:
    """Returns those of the classes but the background."""
    return [_PALETTE[1 + i % (len(_PALETTE) - 1)] for i in range(count - 1)]


def show_image(axes: Axes, image: np.ndarray) -> None:
    """Draws an image ``[H, W, C]`` in [0, 1], row 0 at the top."""
    grey = image.shape[-1] == 1
    axes.imshow(
        image[..., 0] if grey else image,
        cmap="gray" if grey else None,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    style.remove_ticks(axes)


def show_classes(axes: Axes, labels: np.ndarray, count: int) -> None:
    """Draws classes of pixels ``[H, W]``, row 0 at the top."""
    axes.imshow(
        labels,
        cmap=class_colors(count),
        vmin=-0.5,
        vmax=count - 0.5,
        interpolation="nearest",
    )
    style.remove_ticks(axes)


def draw_answers(
    path: str | os.PathLike,
    images: np.ndarray,
    labels: np.ndarray,
    answers: np.ndarray,
    names: Sequence[str],
    *,
    title: str = "",
) -> pathlib.Path:
    """Draws images above the classes of their pixels and a model's answers.

    Args:
      path: the PNG to write.
      images: ``[N, H, W, C]`` in [0, 1]; the first eight are drawn.
      labels: ``[N, H, W]``.
      answers: ``[N, H, W]``.
      names: of the classes.
      title: one line above.

    Returns:
      `path`.

    Raises:
      UserError: a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    shown, count = min(_SHOWN, len(images)), len(names)
    left, top = 0.62, 0.42
    figure = style.new_figure(
        left + shown * (_TILE + _GAP) + 0.1, top + 3 * (_TILE + _GAP) + 0.4
    )
    style.title(figure, 0.1, 0.2, title)
    for row, word in enumerate(("image", "truth", "answer")):
        down = top + row * (_TILE + _GAP)
        style.text_inches(figure, 0.1, down + _TILE / 2, word, style.LABEL)
        for i in range(shown):
            axes = style.add_axes_inches(
                figure, left + i * (_TILE + _GAP), down, _TILE, _TILE
            )
            if row == 0:
                show_image(axes, images[i])
            else:
                show_classes(axes, (labels, answers)[row - 1][i], count)
    colors = class_colors(count)
    figure.legend(
        handles=[Patch(color=colors(k), label=name) for k, name in enumerate(names)],
        loc="lower center",
        ncols=min(count, 11),
        fontsize=style.SMALL,
        frameon=False,
        handlelength=1,
        columnspacing=1,
    )
    return style.save_png(figure, path)


def draw_states(
    path: str | os.PathLike,
    image: np.ndarray,
    labels: np.ndarray,
    answers: np.ndarray,
    states: np.ndarray,
    *,
    columns: int = 10,
    title: str = "",
) -> pathlib.Path:
    """Draws a field at moments of a run beside the image, the truth and the answer.

    Args:
      path: the PNG to write.
      image: ``[H, W, C]`` in [0, 1].
      labels: ``[H, W]``.
      answers: ``[H, W]``.
      states: one channel over time, ``[T, H, W]``. Each moment is drawn without its
        mean over the sheet and has a range of colours of its own, whose end is below it:
        a field that drifts or grows would hide its waves.
      columns: moments to draw, evenly spread.
      title: one line above.

    Returns:
      `path`.

    Raises:
      UserError: a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    times = np.unique(np.linspace(0, len(states) - 1, columns).round().astype(int))
    waves, limits = about_mean(states)
    count = int(max(labels.max(), answers.max())) + 1
    left, top = 0.12, 0.62
    panels = 3 + len(times)
    figure = style.new_figure(left + panels * (_TILE + _GAP) + 0.55, top + _TILE + 0.45)
    style.title(figure, left, 0.18, title)
    for i in range(panels):
        x = left + i * (_TILE + _GAP) + (0.12 if i > 2 else 0)
        axes = style.add_axes_inches(figure, x, top, _TILE, _TILE)
        if i == 0:
            show_image(axes, image)
        elif i < 3:
            show_classes(axes, (labels, answers)[i - 1], count)
        else:
            drawn = axes.imshow(
                waves[times[i - 3]],
                cmap=style.DIVERGING,
                vmin=-1,
                vmax=1,
                interpolation="nearest",
            )
            style.remove_ticks(axes)
            words = f"L = {limits[times[i - 3]]:.2g}"
            place = (x + _TILE / 2, top + _TILE + 0.12)
            style.text_inches(figure, *place, words, style.SMALL, ha="center")
        name = f"t = {times[i - 3] + 1}" if i > 2 else ("image", "truth", "answer")[i]
        axes.set_title(name, size=style.SMALL, pad=3)
    bar = style.add_axes_inches(
        figure, left + panels * (_TILE + _GAP) + 0.17, top, 0.08, _TILE
    )
    figure.colorbar(drawn, cax=bar, ticks=[-1, 0, 1])
    bar.set_yticklabels(["\N{MINUS SIGN}L", "0", "L"])
    bar.tick_params(labelsize=style.SMALL, length=2)
    style.text_inches(
        figure,
        left,
        top + _TILE + 0.32,
        "state minus its mean over the sheet",
        style.SMALL,
    )
    return style.save_png(figure, path)


def about_mean(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a field without its mean over the sheet, and its limits.

    Args:
      states: the field, ``[T, H, W]``.

    Returns:
      The field, every moment divided by its own limit; the limits ``[T]``.
    """
    waves = states - states.mean(axis=(1, 2), keepdims=True)
    limits = np.array([style.symmetric_limit(wave) for wave in waves])
    return waves / limits[:, None, None], limits


def animate_states(
    path: str | os.PathLike,
    image: np.ndarray,
    labels: np.ndarray,
    answers: np.ndarray,
    states: np.ndarray,
) -> pathlib.Path:
    """Animates what `draw_states` draws; ends in ".gif" or ".webp".

    Raises:
      UserError: another ending.
    """
    count = int(max(labels.max(), answers.max())) + 1
    colors = class_colors(count)
    stills = {
        "image": np.broadcast_to(image, (*image.shape[:2], 3)),
        "truth": colors(labels)[..., :3],
        "answer": colors(answers)[..., :3],
    }
    stills = {k: np.uint8(np.rint(255 * np.asarray(v))) for k, v in stills.items()}
    return animation.save_field(path, stills, about_mean(states)[0])


def draw_spectra(
    path: str | os.PathLike,
    states: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    title: str = "",
) -> pathlib.Path:
    """Draws the Fourier spectra of the pixels of every class: mean and deviation.

    Args:
      path: the PNG to write.
      states: ``[N, T, H, W, C]``; each channel has its own panel.
      labels: ``[N, H, W]``.
      names: of the classes.
      title: one line above.

    Returns:
      `path`.

    Raises:
      UserError: a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    magnitude = np.abs(np.fft.rfft(states, axis=1))
    channels = min(states.shape[-1], 4)
    bins = np.arange(magnitude.shape[1])
    kept = slice(0, max(2, len(bins) * 2 // 3))
    figure = style.new_figure(0.4 + 3.3 * channels, 2.9)
    style.title(figure, 0.12, 0.18, title)
    colors = ("#888888", *_colors(len(names)))
    for c in range(channels):
        axes = style.add_axes_inches(figure, 0.62 + 3.3 * c, 0.45, 2.55, 1.85)
        for k, name in enumerate(names):
            pixels = np.moveaxis(magnitude[..., c], 1, -1)[labels == k]
            if not len(pixels):
                continue
            mean, spread = pixels.mean(axis=0)[kept], pixels.std(axis=0)[kept]
            low = np.maximum(mean - spread, 1e-3 * max(mean.max(), 1e-12))
            axes.fill_between(
                bins[kept], low, mean + spread, color=colors[k], alpha=0.13, linewidth=0
            )
            axes.plot(bins[kept], mean, color=colors[k], linewidth=1.4, label=name)
        axes.set(yscale="log")
        style.log_ticks(axes.yaxis)
        axes.set_title(f"channel {c}", size=style.LABEL, pad=3)
        axes.set_xlabel("bin of the transform over time", size=style.LABEL)
        axes.margins(x=0.01)
        if c == 0:
            axes.set_ylabel("magnitude, mean ± deviation", size=style.LABEL)
    handles, words = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        words,
        loc="lower center",
        ncols=min(len(words), 11),
        fontsize=style.SMALL,
        frameon=False,
        handlelength=1,
        columnspacing=1,
    )
    return style.save_png(figure, path)


def draw_receptive_field(
    path: str | os.PathLike, field: np.ndarray, *, title: str = ""
) -> pathlib.Path:
    """Draws what the answer in the middle depends on: a map, and its growth by distance.

    Args:
      path: the PNG to write.
      field: ``[H, W]`` >= 0, see `task.Segmentation.receptive_field`.
      title: one line above.

    Returns:
      `path`.

    Raises:
      UserError: a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    figure = style.new_figure(6.3, 2.75)
    style.title(figure, 0.12, 0.18, title)
    axes = style.add_axes_inches(figure, 0.15, 0.45, 2.0, 2.0)
    peak = float(field.max()) or 1.0
    drawn = axes.imshow(
        np.log10(np.maximum(field / peak, 1e-5)),
        cmap=style.SEQUENTIAL,
        vmin=-5,
        vmax=0,
        interpolation="nearest",
    )
    style.remove_ticks(axes)
    bar = style.add_axes_inches(figure, 2.22, 0.45, 0.09, 2.0)
    figure.colorbar(drawn, cax=bar, ticks=[-5, -2.5, 0])
    bar.tick_params(labelsize=style.SMALL - 1, length=2)
    style.text_inches(
        figure, 1.15, 2.6, "log10 of |gradient| / largest", style.SMALL, ha="center"
    )
    axes = style.add_axes_inches(figure, 3.3, 0.45, 2.8, 1.85)
    distance, share = cumulative_field(field)
    axes.plot(distance, share, color=style.FORECAST, linewidth=1.8)
    axes.axhline(0.95, color=style.FAINT, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(ylim=(0, 1.03), xlim=(0, distance[-1]))
    axes.set_xlabel("within so many pixels of the middle", size=style.LABEL)
    axes.set_ylabel("share of the gradient", size=style.LABEL)
    return style.save_png(figure, path)


def cumulative_field(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the share of a field within a distance of its middle.

    Args:
      field: ``[H, W]`` >= 0.

    Returns:
      Distances 0, 1, ... (the larger of rows and columns) and shares in [0, 1].
    """
    rows, columns = field.shape
    row = np.abs(np.arange(rows) - rows // 2)[:, None]
    distance = np.maximum(row, np.abs(np.arange(columns) - columns // 2))
    mass = np.bincount(distance.ravel(), weights=field.ravel())
    total = mass.sum()
    return np.arange(len(mass)), np.cumsum(mass) / (total if total > 0 else 1.0)

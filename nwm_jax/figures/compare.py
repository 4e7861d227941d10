"""Numbers of several runs over their training steps, in one picture."""

import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from nwm_jax.errors import UserError
from nwm_jax.figures import curves, style

_LEFT = 0.82
_NAME = 1.7  # inches of the longest name that leaves room for another beside it
_SAID = {"train": "training", "eval": "evaluation"}


def draw_comparison(
    path: str | os.PathLike,
    runs: Mapping[str, str | os.PathLike],
    keys: Mapping[str, str],
    *,
    title: str = "",
) -> pathlib.Path:
    """Draws numbers of several runs over the training steps, a panel for each number.

    Args:
      path: the PNG to write.
      runs: name -> metrics file, as in `draw_training`. A run without the number is
        left out of its panel.
      keys: kind of the rows ("train", "eval") -> which number of them. The vertical
        axis is logarithmic as in `draw_training`, except for accuracies.
      title: one line above the panels.

    Returns:
      `path`.

    Raises:
      UserError: a missing or damaged file, no run with any of the numbers, or a path
        that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    by_kind: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    missing = ""
    for kind, key in keys.items():
        for name, file in runs.items():
            try:
                curve = curves.read_metric(file, key, kind)
            except UserError as error:
                missing = str(error)
                continue
            by_kind.setdefault(kind, {})[name] = curve
    if not by_kind:
        raise UserError(missing)
    # Two columns of names, if a line and a name twice are as wide as the panels.
    columns = 2 if _width(runs) < _NAME else 1
    rows = -(-len(runs) // columns)
    top = 0.14 + 0.26 * bool(title) + 0.2 * rows
    figure = style.new_figure(5.6, top + 2.65 * len(by_kind))
    if title:
        style.title(figure, _LEFT, 0.2, title)
    few = all(len(s) < 20 for lines in by_kind.values() for s, _ in lines.values())
    looks = dict(zip(runs, style.looks(len(runs), marked=few), strict=True))
    for number, (kind, lines) in enumerate(by_kind.items()):
        box = (_LEFT, top + 2.65 * number, 5.38 - _LEFT, 2.18)
        axes = curves.with_grid(style.add_axes_inches(figure, *box))
        for name, (steps, values) in lines.items():
            look = looks[name]
            if len(steps) < 20:
                look = {"marker": "o", "markersize": 3.5} | look
            axes.plot(steps, values, label=name, **look)
        finite = np.concatenate([values for _, values in lines.values()])
        finite = finite[np.isfinite(finite)]
        spread = finite.min() > 0 and finite.max() > 10 * finite.min()
        if spread and not keys[kind].endswith("accuracy"):
            axes.set_yscale("log")
            style.log_ticks(axes.yaxis)
        words = keys[kind].replace("_", " ").replace("/", ", ")
        axes.set_ylabel(f"{words} ({_SAID[kind]})", size=style.LABEL)
        axes.set_xlabel("step", size=style.LABEL)
        axes.margins(x=0.01)
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(
            (_LEFT - 0.06) / width,
            1 - (0.1 + 0.26 * bool(title)) / height,
        ),
        ncols=columns,
        fontsize=style.SMALL,
        frameon=False,
        handlelength=3.2,
        borderaxespad=0.0,
    )
    return style.save_png(figure, path)


def _width(words: Iterable[str]) -> float:
    """Inches of the longest of several words in the legend."""
    font = FontProperties(size=style.SMALL)
    paths = [TextPath((0, 0), word, prop=font) for word in words]
    return max(path.get_extents().width for path in paths) / 72

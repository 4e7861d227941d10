"""A picture of the scores of several seeds: a box for every model, a point for every run."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.figures import style


def draw_seeds(
    path: str | os.PathLike,
    scores: Mapping[str, Sequence[float]],
    *,
    label: str,
    title: str = "",
    baseline: tuple[str, float] | None = None,
) -> pathlib.Path:
    """Draws a number of several seeds as a box for every kind of run, and every seed.

    Args:
      path: the PNG to write.
      scores: values by kind of run, in order.
      label: of the axis.
      title: one line above.
      baseline: name and value of a line without skill.

    Returns:
      `path`.

    Raises:
      UserError: nothing to draw, or a path that does not end in ".png".
    """
    style.check_suffix(path, ".png")
    if not scores:
        raise UserError("there are no runs whose scores could be drawn")
    figure = style.new_figure(1.1 + 0.75 * len(scores) + 0.3, 3.3)
    style.title(figure, 0.12, 0.18, title)
    axes = style.add_axes_inches(figure, 0.75, 0.45, 0.75 * len(scores) + 0.3, 2.05)
    places = np.arange(len(scores))
    values = [np.asarray(v, float) for v in scores.values()]
    axes.boxplot(
        values,
        positions=places,
        widths=0.55,
        showfliers=False,
        medianprops={"color": style.ACCENT, "linewidth": 1.6},
        boxprops={"linewidth": 0.8},
        whiskerprops={"linewidth": 0.8},
        capprops={"linewidth": 0.8},
    )
    for place, each in zip(places, values, strict=False):
        shift = np.linspace(-0.13, 0.13, len(each)) if len(each) > 1 else [0.0]
        axes.plot(
            place + np.asarray(shift),
            each,
            "o",
            ms=3.5,
            color=style.FORECAST,
            alpha=0.8,
            markeredgewidth=0,
            zorder=3,
        )
    if baseline is not None:
        axes.axhline(baseline[1], color=style.FAINT, lw=0.9, linestyle=(0, (4, 2)))
        axes.annotate(
            baseline[0],
            (1.0, baseline[1]),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            size=style.SMALL,
            color=style.OBSERVED,
        )
    axes.set(xlim=(-0.6, len(scores) - 0.4))
    axes.set_xticks(places, list(scores), rotation=25, ha="right", size=style.SMALL)
    axes.set_ylabel(label, size=style.LABEL)
    return style.save_png(figure, path)

"""How the error on the split "valid" falls with training, beside published values."""

import math
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import collect, configs, published, table
from nwm_jax.experiments.forecasting.datasets import DATASETS
from nwm_jax.figures import curves, style
from nwm_jax.runs import workdirs
from nwm_jax.training import writers

_MEASURE = "relative_mse"
_KEY = f"{_MEASURE}/forecast"
_HEIGHT = 2.5  # inches of a panel
_LEFT, _WIDTH = 0.82, 4.56
_PUBLISHED = (0, (1, 3))  # dots


class Line(NamedTuple):
    """The errors of one run.

    Attributes:
      dataset: the dataset's short name in configs.
      model: its model.
      steps: where it was evaluated on the split "valid" [n], > 0.
      errors: relative MSE there [n]; NaN where a forecast was not finite.
    """

    dataset: str
    model: str
    steps: np.ndarray
    errors: np.ndarray


def read(folder: pathlib.Path) -> Line:
    """Reads one workdir, evaluated or not.

    Raises:
      UserError: it is not a workdir, has no evaluation in metrics.jsonl (trained
        without `eval.every`), or is damaged.
    """
    config = workdirs.read(folder)
    steps, errors = curves.read_metric(folder / writers.METRICS, _KEY, "eval")
    with workdirs.understood():
        return Line(
            dataset=collect.dataset(config["data"], {}),
            model=str(config["model"]["name"]),
            steps=steps[steps > 0],
            errors=errors[steps > 0],
        )


def draw(folders: Sequence[pathlib.Path], path: str | os.PathLike) -> pathlib.Path:
    """Draws the errors of runs against their training steps, both axes logarithmic.

    A panel for each dataset, a look for each model, a line for each run; the published
    value of a model is a dotted line of the same colour. Runs without an evaluation in
    training are left out.

    Args:
      folders: workdirs.
      path: the PNG to write.

    Returns:
      `path`.

    Raises:
      UserError: no run was evaluated in training, or a path that does not end in
        ".png".
    """
    style.check_suffix(path, ".png")
    lines, wrong = [], []
    for folder in folders:
        try:
            lines.append(read(folder))
        except (UserError, OSError) as error:
            wrong.append(f"{folder}: {error}")
    lines = [line for line in lines if np.isfinite(line.errors).any()]
    if not lines:
        raise UserError(
            f"no run was evaluated in training ({'; '.join(wrong)}): train with "
            "eval.every=500"
        )
    models = table.ordered({line.model for line in lines}, configs.MODELS)
    datasets = table.ordered({line.dataset for line in lines}, DATASETS)
    looks = dict(zip(models, style.looks(len(models), marked=True), strict=True))
    top = 0.3 + 0.2 * -(-(len(models) + 1) // 3)
    figure = style.new_figure(5.6, top + (_HEIGHT + 0.3) * len(datasets))
    for number, dataset in enumerate(datasets):
        box = (_LEFT, top + (_HEIGHT + 0.3) * number, _WIDTH, _HEIGHT - 0.3)
        axes = curves.with_grid(style.add_axes_inches(figure, *box))
        _panel(axes, dataset, [e for e in lines if e.dataset == dataset], looks)
    _legend(figure, looks)
    return style.save_png(figure, path)


def _panel(axes: Axes, dataset: str, lines: Sequence[Line], looks: dict) -> None:
    for line in lines:
        axes.plot(line.steps, line.errors, **looks[line.model])
    for model in dict.fromkeys(line.model for line in lines):
        value = published.score(dataset, model, _MEASURE)
        if not math.isnan(value):
            look = {"color": looks[model]["color"], "linewidth": 0.9}
            axes.axhline(value, linestyle=_PUBLISHED, **look)
    axes.set(xscale="log", yscale="log")
    axes.set_title(dataset, size=style.LABEL, color=style.INK, loc="left")
    axes.set_xlabel("step", size=style.LABEL)
    axes.set_ylabel("relative MSE on valid", size=style.LABEL)
    for axis in (axes.xaxis, axes.yaxis):
        style.log_ticks(axis)


def _legend(figure: Figure, looks: dict) -> None:
    handles = [
        Line2D([], [], label=table.TITLES.get(model, model), **look)
        for model, look in looks.items()
    ]
    handles.append(
        Line2D(
            [],
            [],
            label="published (500,000 steps)",
            color=style.INK,
            linewidth=0.9,
            linestyle=_PUBLISHED,
        )
    )
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=((_LEFT - 0.06) / width, 1 - 0.1 / height),
        ncols=3,
        fontsize=style.SMALL,
        frameon=False,
        handlelength=3.2,
        borderaxespad=0.0,
    )

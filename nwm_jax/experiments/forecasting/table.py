"""Runs to tables: one block for each protocol, datasets down, models across."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nwm_jax.experiments.forecasting import configs, published
from nwm_jax.experiments.forecasting.collect import NO_SKILL, Entry

#: What stands in the rows of a dataset, and what the rows are called.
OURS = "forecast"
PUBLISHED = "published"
ROWS = (OURS, *NO_SKILL, PUBLISHED)


class Cell(NamedTuple):
    """One number of a table.

    Attributes:
      mean: over seeds; NaN if a forecast was not finite.
      std: sample standard deviation over seeds; NaN for a single one.
      seeds: number of seeds; 0 for a number that is not ours.
      best: whether it is the best of its row.
    """

    mean: float
    std: float = math.nan
    seeds: int = 0
    best: bool = False


class Block(NamedTuple):
    """The table of one protocol.

    Attributes:
      protocol: its name.
      windows: how many test windows the evaluations had, each number once.
      datasets: rows' datasets, in the order of the configs.
      models: columns, the published table's first.
      cells: by (dataset, row, model), row being one of `ROWS`; what is missing is not
        there.
      parameters: number of parameters by model, each number once.
    """

    protocol: str
    windows: list[int]
    datasets: list[str]
    models: list[str]
    cells: dict[tuple[str, str, str], Cell]
    parameters: dict[str, list[int]]


def build(entries: Sequence[Entry], measure: str) -> list[Block]:
    """Arranges runs in blocks; runs of different protocols never meet in a cell.

    Args:
      entries: runs, each experiment and seed once.
      measure: what their scores are, a key of `collect.MEASURES`.

    Returns:
      The blocks, by name of the protocol, "paper" first.
    """
    protocols = sorted({e.protocol for e in entries}, key=lambda p: (p != "paper", p))
    return [
        _block(protocol, [e for e in entries if e.protocol == protocol], measure)
        for protocol in protocols
    ]


def _block(protocol: str, entries: list[Entry], measure: str) -> Block:
    datasets = _ordered({e.dataset for e in entries}, configs.DATASETS)
    others = {e.model for e in entries} - set(configs.TABLE[1])
    models = [*configs.TABLE[1], *_ordered(others, configs.MODELS)]
    cells: dict[tuple[str, str, str], Cell] = {}
    for dataset in datasets:
        for model in models:
            runs = [e for e in entries if (e.dataset, e.model) == (dataset, model)]
            if runs:
                cells[dataset, OURS, model] = _cell([run.score for run in runs])
            for who in NO_SKILL:
                # The same for all seeds of a dataset, up to rounding.
                known = [run.no_skill[who] for run in runs if who in run.no_skill]
                if known:
                    cells[dataset, who, model] = Cell(float(np.mean(known)))
            score = published.score(dataset, model, measure)
            if not math.isnan(score):
                cells[dataset, PUBLISHED, model] = Cell(score)
        for row in (OURS, PUBLISHED):
            _mark_best(cells, dataset, row, highest=measure == "vpt")
    return Block(
        protocol=protocol,
        windows=sorted({e.num_windows for e in entries}),
        datasets=datasets,
        models=models,
        cells=cells,
        parameters={
            model: counts
            for model in models
            if (
                counts := sorted(
                    {e.num_parameters for e in entries if e.model == model}
                )
            )
        },
    )


def _ordered(names: set[str], known: Iterable[str]) -> list[str]:
    """Known names in their order, then the others by the alphabet."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def _cell(scores: list[float]) -> Cell:
    std = float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan
    return Cell(float(np.mean(scores)), std, len(scores))


def _mark_best(
    cells: dict[tuple[str, str, str], Cell], dataset: str, row: str, highest: bool
) -> None:
    """Marks the best of a row, several if they are equal.

    None is marked if all are equal, if there is nothing to compare with, or if the best
    is no good: a valid time of 0, or a forecast worse than one without skill.
    """
    found = {p: cell.mean for p, cell in cells.items() if p[:2] == (dataset, row)}
    means = {place: mean for place, mean in found.items() if math.isfinite(mean)}
    equal = len(means) > len(set(means.values())) == 1
    if not means or equal or len(found) == 1:
        return
    best = (max if highest else min)(means.values())
    for place in [place for place, mean in means.items() if mean == best]:
        others = [cells.get((dataset, who, place[2])) for who in NO_SKILL]
        others = [cell.mean for cell in others if cell and row == OURS]
        beaten = any(mean > best if highest else mean < best for mean in others)
        good = not beaten and not (highest and best == 0)
        cells[place] = cells[place]._replace(best=good)

"""Runs to tables: one block for each protocol, datasets down, models across."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nwm_jax.experiments.forecasting import bootstrap, configs, published
from nwm_jax.experiments.forecasting.collect import NO_SKILL, Entry
from nwm_jax.experiments.forecasting.datasets import DATASETS

#: What stands in the rows of a dataset, and what the rows are called.
OURS = "forecast"
PUBLISHED = "published"
ROWS = (OURS, *NO_SKILL, PUBLISHED)
#: What models are called in tables and pictures.
TITLES = {
    "ar": "AR (LSTM)",
    "ar_gru": "AR (GRU)",
    "ar_vanilla": "AR (vanilla)",
    "hgn": "HGN++",
    "hgn_conv": "HGN (conv)",
    "lgn": "LGN",
    "rgn": "RGN",
    "ode": "ODE[TR]",
    "cornn": "coRNN",
    "nwm2d": "NWM 2D",
    "nwm1d": "NWM 1D",
}
#: Measures of which a higher value is better.
HIGHEST = ("vpt",)


class Cell(NamedTuple):
    """One number of a table.

    Attributes:
      mean: over the seeds that did not diverge; NaN if all did.
      std: sample standard deviation over the same; NaN for a single one.
      seeds: number of seeds, diverged ones included; 0 for a number that is not ours.
      best: whether it is the best of its row, see `build`.
      diverged: number of seeds whose training diverged or whose forecast is not finite.
      cpu_seconds: mean over the other seeds; NaN where none were logged.
    """

    mean: float
    std: float = math.nan
    seeds: int = 0
    best: bool = False
    diverged: int = 0
    cpu_seconds: float = math.nan


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
      cpu_seconds: processor seconds of a training by model: the mean over the runs that
        did not diverge.
      comparisons: by dataset the two models of least error and the log ratio of their
        errors; of relative errors, where all runs are scored on the same frames.
    """

    protocol: str
    windows: list[int]
    datasets: list[str]
    models: list[str]
    cells: dict[tuple[str, str, str], Cell]
    parameters: dict[str, list[int]]
    cpu_seconds: dict[str, float]
    comparisons: dict[str, tuple[str, str, bootstrap.LogRatio]]


def build(entries: Sequence[Entry], measure: str) -> list[Block]:
    """Arranges runs in blocks; runs of different protocols never meet in a cell.

    The best of a row is the model of which every seed is better than every seed of
    every other model; a diverged seed is worse than any other. None is marked where
    there is nothing to compare with, or where the best is no better than a forecast
    without skill. With one seed each that is the least error; the separation of three
    seeds each is more, but no p-value.

    Args:
      entries: runs, each experiment and seed once.
      measure: what their scores are, a key of `collect.MEASURES`.

    Returns:
      The blocks, by name of the protocol, "paper" first.
    """
    protocols = sorted({e.protocol for e in entries}, key=order)
    return [
        _block(protocol, [e for e in entries if e.protocol == protocol], measure)
        for protocol in protocols
    ]


def order(protocol: str) -> tuple[bool, str]:
    """Returns what protocols are sorted by: "paper" first, then by name."""
    return protocol != "paper", protocol


def _block(protocol: str, entries: list[Entry], measure: str) -> Block:
    datasets = ordered({e.dataset for e in entries}, DATASETS)
    others = {e.model for e in entries} - set(configs.TABLE[1])
    models = [*configs.TABLE[1], *ordered(others, configs.MODELS)]
    cells: dict[tuple[str, str, str], Cell] = {}
    for dataset in datasets:
        for model in models:
            runs = [e for e in entries if (e.dataset, e.model) == (dataset, model)]
            if runs:
                cells[dataset, OURS, model] = _cell(runs)
            for baseline in NO_SKILL:
                # The same for all seeds of a dataset, up to rounding.
                known = [
                    run.no_skill[baseline] for run in runs if baseline in run.no_skill
                ]
                if known:
                    cells[dataset, baseline, model] = Cell(float(np.mean(known)))
            score = published.score(dataset, model, measure)
            if not math.isnan(score):
                cells[dataset, PUBLISHED, model] = Cell(score)
        sign = -1 if measure in HIGHEST else 1
        ours = _scores([e for e in entries if e.dataset == dataset])
        _mark_best(cells, dataset, OURS, ours, sign)
        stated = {
            m: [c.mean]
            for (d, r, m), c in cells.items()
            if (d, r) == (dataset, PUBLISHED)
        }
        _mark_best(cells, dataset, PUBLISHED, stated, sign)
    compare = measure == "relative_mse"
    comparisons = {
        dataset: comparison
        for dataset in datasets
        if compare
        and (comparison := _compare([e for e in entries if e.dataset == dataset]))
    }
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
        cpu_seconds={
            model: mean
            for model in models
            if not math.isnan(
                mean := _seconds([e for e in entries if e.model == model])
            )
        },
        comparisons=comparisons,
    )


def ordered(names: set[str], known: Iterable[str]) -> list[str]:
    """Returns known names in their order, then the others by the alphabet."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def _cell(runs: Sequence[Entry]) -> Cell:
    scores = [run.score for run in runs if math.isfinite(run.score)]
    return Cell(
        mean=float(np.mean(scores)) if scores else math.nan,
        std=float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan,
        seeds=len(runs),
        diverged=len(runs) - len(scores),
        cpu_seconds=_seconds(runs),
    )


def _seconds(runs: Sequence[Entry]) -> float:
    """Returns the mean processor seconds of the runs that came to their end."""
    known = [e.cpu_seconds for e in runs if not e.diverged]
    known = [seconds for seconds in known if math.isfinite(seconds)]
    return float(np.mean(known)) if known else math.nan


def _scores(entries: Sequence[Entry]) -> dict[str, list[float]]:
    """Returns the scores of all seeds by model."""
    return {
        model: [e.score for e in entries if e.model == model]
        for model in dict.fromkeys(e.model for e in entries)
    }


def _mark_best(
    cells: dict[tuple[str, str, str], Cell],
    dataset: str,
    row: str,
    scores: dict[str, list[float]],
    sign: int,
) -> None:
    """Marks the best of a row, see `build`; `sign` is -1 where higher is better."""
    costs = {
        model: [sign * s if math.isfinite(s) else math.inf for s in values]
        for model, values in scores.items()
    }
    if len(costs) < 2:
        return
    best = min(costs, key=lambda model: max(costs[model]))
    worst = max(costs[best])
    rivals = [min(values) for model, values in costs.items() if model != best]
    if row == OURS:
        skill = [cells.get((dataset, name, best)) for name in NO_SKILL]
        rivals += [sign * cell.mean for cell in skill if cell]
    if worst < min(rivals) and (sign > 0 or worst < 0):  # a valid time of 0 is none
        cells[dataset, row, best] = cells[dataset, row, best]._replace(best=True)


def _compare(
    entries: Sequence[Entry],
) -> tuple[str, str, bootstrap.LogRatio] | None:
    """Compares the two models of least error on a dataset over windows and seeds.

    Returns:
      The better model, the other, and the log ratio of their errors; None where fewer
      than two models have an error of every window in all their runs, or where runs
      are not scored on the same frames of the same number of windows.
    """
    scored = [e for e in entries if not e.diverged]
    if len({(e.frames, e.num_windows) for e in scored}) != 1 or not scored[0].frames:
        return None
    errors = {}
    for model in dict.fromkeys(e.model for e in entries):
        rows = [e.per_window for e in entries if e.model == model]
        if all(len(row) == scored[0].num_windows for row in rows):
            errors[model] = np.stack(rows)
    if len(errors) < 2:
        return None
    # A window without an error is black, and so for all; any other is a failed forecast.
    black = np.all([np.isnan(rows).all(axis=0) for rows in errors.values()], axis=0)
    errors = {
        model: rows[:, ~black]
        for model, rows in errors.items()
        if np.isfinite(rows[:, ~black]).all() and (rows[:, ~black] > 0).all()
    }
    if len(errors) < 2 or black.all():
        return None
    order = {m: np.log(rows.mean(axis=1)).mean() for m, rows in errors.items()}
    best, second = sorted(order, key=order.__getitem__)[:2]
    return best, second, bootstrap.log_ratio(errors[best], errors[second])

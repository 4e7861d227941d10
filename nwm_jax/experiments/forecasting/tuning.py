"""The table of a search over learning rates: every model's errors on the split "valid".

A model's winner is the rate with the least mean of the logarithm of the relative MSE
over all datasets of the search.
"""

import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import configs, datasets
from nwm_jax.runs import workdirs
from nwm_jax.runs.tables import Grid

_FILE = "eval_valid.json"


class Entry(NamedTuple):
    """One run of a search.

    Attributes:
      model: its model.
      dataset: the dataset's short name in configs.
      rate: its learning rate.
      rest: its seed and the steps, which all runs of a search share.
      error: relative MSE on the split "valid"; infinite where training diverged.
    """

    model: str
    dataset: str
    rate: float
    rest: tuple[int, int]
    error: float


def collect(folders: Sequence[pathlib.Path]) -> tuple[list[Entry], list[str]]:
    """Reads workdirs; what is no run of a search is named, a line each."""
    return workdirs.collect(folders, read, lambda entry: entry[:4])


def read(folder: pathlib.Path) -> Entry:
    """Reads one workdir.

    Raises:
      UserError: it is not evaluated on the split "valid", or is damaged.
    """
    config, test = workdirs.read(folder), workdirs.scores(folder)
    with workdirs.understood():
        error = math.inf
        if "diverged" not in test:
            path = folder / _FILE
            if not path.exists():
                raise UserError(
                    f"it has no {_FILE}: python -m nwm_jax.evaluate --split=valid"
                )
            stored = files.read_json(path)["relative_mse"]["forecast"]
            error = math.inf if stored is None else float(stored)
        return Entry(
            model=str(config["model"]["name"]),
            dataset=datasets.short_name(config["data"]["name"]),
            rate=float(config["optimizer"]["learning_rate"]),
            rest=(int(config["seed"]), int(config["num_steps"])),
            error=error,
        )


def means(entries: Sequence[Entry]) -> dict[tuple[str, float], float]:
    """Returns geometric means of the errors over datasets, by (model, learning rate).

    A rate that lacks one of the model's datasets is left out.
    """
    by_rate = {}
    for model, rate in dict.fromkeys((e.model, e.rate) for e in entries):
        datasets = {e.dataset for e in entries if e.model == model}
        mine = [e for e in entries if (e.model, e.rate) == (model, rate)]
        if {e.dataset for e in mine} == datasets:
            logarithms = [math.log(e.error) for e in mine]
            by_rate[model, rate] = math.exp(sum(logarithms) / len(logarithms))
    return by_rate


def winner(means: dict[tuple[str, float], float], model: str) -> tuple[float, bool]:
    """Returns a model's best learning rate, and whether it is the least or largest."""
    rates = {rate: mean for (name, rate), mean in means.items() if name == model}
    best = min(rates, key=rates.__getitem__)
    return best, best in (min(rates), max(rates))


def build(entries: Sequence[Entry]) -> list[Grid]:
    """Returns one table: models and datasets down, learning rates and winner across."""
    rates = sorted({entry.rate for entry in entries})
    errors = {(e.model, e.dataset, e.rate): e.error for e in entries}
    mean = means(entries)
    models = [m for m in configs.MODELS if any(e.model == m for e in entries)]
    rows = []
    for model in models:
        for dataset in sorted({e.dataset for e in entries if e.model == model}):
            row = [errors.get((model, dataset, rate)) for rate in rates]
            rows.append([model, dataset, *map(_show, row), ""])
        if not any(name == model for name, _ in mean):
            continue
        best, edge = winner(mean, model)
        row = [mean.get((model, rate)) for rate in rates]
        chosen = f"{best:g}{' (edge)' if edge else ''}"
        rows.append([model, "geometric mean", *map(_show, row), chosen])
    head = ["model", "dataset", *(f"{rate:g}" for rate in rates), "winner"]
    rest = sorted({entry.rest for entry in entries})
    searches = ", ".join(f"seed {seed}, {steps:,} steps" for seed, steps in rest)
    legend = [
        'Relative MSE of the forecast on the split "valid", lower is better',
        "The winner has the least geometric mean; at an edge the search goes one rate on",
    ]
    return [Grid(f"Learning rates ({searches})", head, rows, legend)]


def _show(error: float | None) -> str:
    if error is None:
        return ""
    return f"{error:.4g}" if math.isfinite(error) else "diverged"

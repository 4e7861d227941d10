"""The table of what waves hidden states carry, beside the error of the models."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.runs import workdirs
from nwm_jax.runs.tables import Grid
from nwm_jax.training import evaluating

#: What is an error of a run, by flat keys of eval.json, the first one that is there.
ERRORS = ("relative_mse/forecast", "loss", "mean_squared_error", "test/cross_entropy")
#: Columns, by the names in "waves" of eval.json.
COLUMNS = ("travelling_index", "coherence", "wave_number", "frequency", "speed")
_FEWEST = 4  # runs that a rank correlation needs


class Entry(NamedTuple):
    """One evaluated run whose hidden state is a field.

    Attributes:
      dataset: the config's `data.name`.
      model: the model; with a kernel of 1 "..., uncoupled".
      protocol: the protocol of the evaluation.
      seed: the seed of the run.
      measure: which of `ERRORS` the error is.
      error: its value.
      waves: the numbers of `COLUMNS` that there are.
    """

    dataset: str
    model: str
    protocol: str
    seed: int
    measure: str
    error: float
    waves: dict[str, float]


def collect(folders: Sequence[pathlib.Path]) -> tuple[list[Entry], list[str]]:
    """Reads workdirs; a line for each without wave statistics.

    Raises:
      UserError: none has them.
    """
    entries, notes = workdirs.collect(
        folders,
        read,
        lambda entry: (entry.protocol, entry.dataset, entry.model, entry.seed),
    )
    if not entries:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise UserError(
            f"no run with wave statistics{why}: evaluate runs of oscillators with "
            "--metrics=waves"
        )
    return entries, notes


def read(folder: pathlib.Path) -> Entry:
    """Reads one workdir.

    Raises:
      UserError: it has no wave statistics, has not been evaluated, or is damaged.
    """
    config, evaluation = workdirs.read(folder), workdirs.scores(folder)
    if not isinstance(evaluation.get("waves"), Mapping):
        raise UserError("its eval.json has no waves")
    with workdirs.understood():
        flat = evaluating.flatten(evaluation)
        measure = next((name for name in ERRORS if name in flat), None)
        if measure is None:
            raise UserError("its eval.json has no error to compare with")
        return Entry(
            dataset=str(config["data"]["name"]),
            model=_model(config["model"]),
            protocol=str(evaluation["protocol"]),
            seed=int(evaluation["seed"]),
            measure=measure,
            error=flat[measure],
            waves={
                name: flat[f"waves/{name}"]
                for name in COLUMNS
                if f"waves/{name}" in flat
            },
        )


def _model(model: Mapping[str, Any]) -> str:
    alone = model.get("kernel_size") == 1
    return f"{model['name']}, uncoupled" if alone else str(model["name"])


def build(entries: Sequence[Entry]) -> list[Grid]:
    """Returns a table for each dataset, a row for each model and protocol.

    Numbers are means over seeds, with their sample standard deviation if there are
    several. Below stand Spearman's rank correlations of the error with the travelling
    index and with the coherence over all runs of the table.
    """
    grids = []
    for dataset, measure in sorted({(e.dataset, e.measure) for e in entries}):
        mine = [e for e in entries if (e.dataset, e.measure) == (dataset, measure)]
        head = [
            "model",
            "protocol",
            "seeds",
            measure.replace("/", " ").replace("_", " "),
        ]
        head += [name.replace("_", " ") for name in COLUMNS]
        rows = []
        for model, protocol in dict.fromkeys((e.model, e.protocol) for e in mine):
            runs = [e for e in mine if (e.model, e.protocol) == (model, protocol)]
            row = [model, protocol, str(len(runs)), _mean([run.error for run in runs])]
            row += [_mean([run.waves.get(name) for run in runs]) for name in COLUMNS]
            rows.append(row)
        legend = [
            (
                "Wave numbers in radians per cell, frequencies in cycles per frame, speeds "
                "in cells per frame (python -m nwm_jax.evaluate --metrics=waves)"
            )
        ]
        if any(int(row[2]) > 1 for row in rows):
            legend.append("Means over seeds ± their sample standard deviation")
        for name in COLUMNS[:2]:
            legend += _correlation(mine, name)
        grids.append(Grid(f"Waves and errors, {dataset}", head, rows, legend))
    return grids


def rank_correlation(entries: Sequence[Entry], name: str) -> tuple[int, float, float]:
    """Spearman's rank correlation of a wave number with the error.

    Args:
      entries: runs; those that lack the number are left out.
      name: of `COLUMNS`.

    Returns:
      The number of runs, rho in [-1, 1] and the two-sided p-value; NaN for fewer than 4
      runs or where all are equal.
    """
    pairs = [(e.waves[name], e.error) for e in entries if name in e.waves]
    pairs = [pair for pair in pairs if np.isfinite(pair).all()]
    if (
        len(pairs) < _FEWEST
        or min(len(set(side)) for side in zip(*pairs, strict=False)) < 2
    ):
        return len(pairs), float("nan"), float("nan")
    # SciPy takes half a second to load.
    import scipy.stats

    correlation = scipy.stats.spearmanr(*zip(*pairs, strict=False))
    return len(pairs), float(correlation.statistic), float(correlation.pvalue)


def _correlation(entries: Sequence[Entry], name: str) -> list[str]:
    count, rho, p = rank_correlation(entries, name)
    if np.isnan(rho):
        return []
    return [
        (
            f"Rank correlation of the error with the {name.replace('_', ' ')} over {count} "
            f"runs: rho = {rho:.2f} (p = {p:.2g})"
        )
    ]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    text = f"{np.mean(known):.3g}"
    return f"{text} ± {np.std(known, ddof=1):.2g}" if len(known) > 1 else text

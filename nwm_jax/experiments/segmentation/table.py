"""The table of segmentation runs: scores over seeds, collapses, the published numbers."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.experiments.segmentation import boxes, published
from nwm_jax.runs import tables, workdirs
from nwm_jax.runs.tables import Grid

SOURCE = (
    "arXiv:2502.06034, results of its public repository, 300 epochs, 10 or 12 seeds"
)

#: Columns of the table: what eval.json holds in "test", and its heading.
COLUMNS = {
    "accuracy_foreground": "foreground accuracy",
    "iou_foreground": "foreground IoU",
    "accuracy": "accuracy",
    "iou": "IoU",
    "cross_entropy": "cross-entropy",
    "iou_legacy": "legacy IoU",
}
_MAIN = "accuracy_foreground"


class Entry(NamedTuple):
    """One evaluated run.

    Attributes:
      dataset: its dataset.
      model: model and what was varied of it, such as "nwm linear" or "cnn 8".
      settings: what else of the model is not the preset's, such as "units=48".
      protocol: the protocol of the evaluation, without what is the model's.
      seed: the seed of the run.
      scores: of the test.
      background: scores without skill.
      collapsed: whether hardly any foreground was found.
      parameters: number of parameters.
    """

    dataset: str
    model: str
    settings: str
    protocol: str
    seed: int
    scores: dict[str, float]
    background: dict[str, float]
    collapsed: bool
    parameters: int


def variant(model: dict[str, Any]) -> str:
    """Names a model by what is varied of it: "nwm linear", "cnn 8", "unet 3"."""
    return f"{model['name']} {model[_varied(model['name'])]}"


def _varied(name: str) -> str:
    return {"cnn": "depth", "unet": "width"}.get(name, "readout")


def collect(folders: Sequence[pathlib.Path]) -> tuple[list[Entry], list[str]]:
    """Reads workdirs of segmentations.

    Returns:
      The runs; and a line for each that is left out: not evaluated, damaged, or the
      same experiment with the same seed once more.
    """
    entries, notes = workdirs.collect(folders, read, lambda entry: entry[:5])
    return sorted(entries, key=_order), notes


def tabulate(
    folders: Sequence[pathlib.Path], measure: str, layout: str
) -> tuple[str, list[str]]:
    """Returns the tables of finished runs.

    Args:
      folders: workdirs.
      measure: not used, all scores have columns.
      layout: a key of `runs.tables.FORMATS`.

    Returns:
      The tables, and a line for each run that is left out.

    Raises:
      UserError: no run could be read.
    """
    del measure
    entries, notes = collect(folders)
    if not entries:
        raise workdirs.nothing(notes)
    return tables.FORMATS[layout](build(entries), notes), notes


def read(folder: pathlib.Path) -> Entry:
    """Reads one workdir.

    Raises:
      UserError: it has not been evaluated, or is damaged.
    """
    config, evaluation = workdirs.read(folder), workdirs.scores(folder)
    with workdirs.understood():
        known = _varied(config["model"]["name"])
        protocol, settings = _split(str(evaluation["protocol"]), known)
        return Entry(
            dataset=str(config["data"]["name"]),
            model=variant(config["model"]),
            settings=settings,
            protocol=protocol,
            seed=int(evaluation["seed"]),
            scores={name: _number(evaluation["test"][name]) for name in COLUMNS},
            background={k: _number(v) for k, v in evaluation["background"].items()},
            collapsed=bool(evaluation["collapsed"]),
            parameters=int(evaluation["num_parameters"]),
        )


def build(entries: Sequence[Entry]) -> list[Grid]:
    """Arranges runs in a table for each dataset and protocol, a row for each model.

    Of the foreground accuracy median and least are shown too; a published row follows
    where there is one.
    """
    grids = []
    for dataset, protocol in dict.fromkeys((e.dataset, e.protocol) for e in entries):
        mine = [e for e in entries if (e.dataset, e.protocol) == (dataset, protocol)]
        head = ["model", "runs", "seeds", "collapsed", *COLUMNS.values()]
        head[5:5] = ["median", "least"]
        rows = []
        for model, settings in dict.fromkeys((e.model, e.settings) for e in mine):
            runs = [e for e in mine if (e.model, e.settings) == (model, settings)]
            rows.append(_row(f"{model}, {settings}" if settings else model, runs))
            if known := published.scores(dataset, model):
                cells = [_mean_and_spread(*known[name]) for name in COLUMNS]
                rows.append(
                    [model, "published", "", "", cells[0], "", "", *cells[1:], ""]
                )
        baseline = mine[0].background
        cells = [f"{baseline[k]:.4f}" if k in baseline else "" for k in COLUMNS]
        rows.append(["background only", "", "", "", "0", "", "", *cells[1:], ""])
        grids.append(
            Grid(
                f"Segmentation of {dataset}, {protocol}",
                [*head, "parameters"],
                rows,
                _legend(rows),
            )
        )
    return grids


def draw_boxes(
    folders: Sequence[pathlib.Path], path: str | os.PathLike
) -> pathlib.Path:
    """Draws the foreground accuracy of finished runs, a box for every model.

    Args:
      folders: workdirs.
      path: the PNG to write.

    Returns:
      `path`.

    Raises:
      UserError: no evaluated run, runs of several datasets or protocols, or a path that
        does not end in ".png".
    """
    scores = by_model(folders)
    first = collect(folders)[0][0]
    title = f"{first.dataset}, {first.protocol}"
    label = "foreground accuracy, test"
    return boxes.draw_seeds(path, scores, label=label, title=title)


def by_model(
    folders: Sequence[pathlib.Path], score: str = _MAIN
) -> dict[str, list[float]]:
    """Returns a score of every run, by model.

    Args:
      folders: workdirs of one dataset and protocol.
      score: a key of `COLUMNS`.

    Raises:
      UserError: none could be read, or they are of several datasets or protocols.
    """
    entries, _ = collect(folders)
    kinds = sorted({f"{e.dataset}, {e.protocol}" for e in entries})
    if len(kinds) != 1:
        problem = (
            f"of several datasets or protocols: {'; '.join(kinds)}" if kinds else "none"
        )
        raise UserError(f"evaluated runs to compare: {problem}")
    columns = dict.fromkeys((entry.model, entry.settings) for entry in entries)
    names = [model for model, _ in columns]
    boxes: dict[str, list[float]] = {}
    for entry in entries:
        # Settings are named where the model alone is not enough.
        several = names.count(entry.model) > 1 and entry.settings
        name = f"{entry.model}, {entry.settings}" if several else entry.model
        boxes.setdefault(name, []).append(entry.scores[score])
    return boxes


def _row(model: str, runs: Sequence[Entry]) -> list[str]:
    columns = []
    for name in COLUMNS:
        values = [run.scores[name] for run in runs]
        spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
        columns.append(_mean_and_spread(float(np.mean(values)), float(spread)))
        if name == _MAIN:
            columns += [f"{f(values):.4f}" for f in (np.median, np.min)]
    counts = dict.fromkeys(f"{run.parameters:,}" for run in runs)
    collapsed = sum(run.collapsed for run in runs)
    return [
        *(model, "ours", str(len(runs)), f"{collapsed} of {len(runs)}"),
        *columns,
        " / ".join(counts),
    ]


def _mean_and_spread(mean: float, spread: float) -> str:
    return f"{mean:.4f}" if np.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"


def _legend(rows: Sequence[list[str]]) -> list[str]:
    lines = [
        "Means over seeds ± sample standard deviation",
        "Collapsed: finds less than 1 % of the foreground",
        "Legacy IoU: and over or of the bits of class numbers, in published tables as IoU",
    ]
    if any(row[1] == "published" for row in rows):
        lines.append(f"Published: {published.SOURCE}")
    return lines


def _order(entry: Entry) -> tuple[Any, ...]:
    """Sorts by model, where depths and widths are numbers; else as they stand."""
    name, _, varied = entry.model.partition(" ")
    return name, int(varied) if varied.isdigit() else 0


def _split(protocol: str, known: str) -> tuple[str, str]:
    """Splits a protocol into the run's part and the model's, without `known`."""
    parts = protocol.split(" + ")
    own = [part for part in parts if part.startswith("model.")]
    shared = " + ".join(part for part in parts if part not in own)
    kept = [part for part in own if not part.startswith(f"model.{known}=")]
    return shared, ", ".join(part.removeprefix("model.") for part in kept)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)

"""The benchmark's blocks as tables of texts, and the tables of finished runs."""

import math
import pathlib
from collections.abc import Sequence

from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import collect, published, table, tuning
from nwm_jax.experiments.forecasting.collect import NO_SKILL
from nwm_jax.experiments.forecasting.table import OURS, PUBLISHED, ROWS, Block, Cell
from nwm_jax.runs import tables
from nwm_jax.runs.tables import Grid

# What the measure "all" shows, a table each.
_ALL = ("relative_mse", "table_units", "vpt")

_TITLES = {
    "table_units": "Forecast error in table units (relative MSE / 3,072 x 1e8 for "
    "32x32x3 images), lower is better",
    "relative_mse": "Relative MSE of the forecast, lower is better",
    "mse": "Pixel MSE of the forecast, lower is better",
    "vpt": "Valid prediction time of the forward forecast in frames, higher is better",
}
_ROWS = {
    OURS: "",
    "mean_image": "mean image",
    "last_frame": "last frame",
    PUBLISHED: "published",
}
_RECORD = (
    "protocol",
    "dataset",
    "model",
    "measure",
    "mean",
    "std",
    "seeds",
    "diverged",
    *NO_SKILL,
    PUBLISHED,
    "parameters",
    "cpu_seconds",
)
_SECONDS = "processor seconds"


def grids(blocks: Sequence[Block], measure: str) -> list[Grid]:
    """Writes blocks as tables of texts.

    Args:
      blocks: of `table.build`.
      measure: the key of their measure.

    Returns:
      For each protocol a table. The best of a row is bold, the number of seeds stands
      in brackets, what is missing is empty. The records have a line for each cell with
      a run; "nan" is a mean over seeds that all diverged.
    """
    return [
        Grid(
            heading=heading(block, measure),
            head=[
                "dataset",
                "",
                *(table.TITLES.get(name, name) for name in block.models),
            ],
            rows=_rows(block),
            legend=legend(block, measure),
            records=_records(block, measure),
        )
        for block in blocks
    ]


def heading(block: Block, measure: str) -> str:
    """Names the protocol of a block and the measure."""
    windows = " or ".join(f"{number:,}" for number in block.windows)
    name = measure.replace("_", " ").replace("mse", "MSE").replace("vpt", "VPT")
    return f"Protocol {block.protocol}, {windows} test windows: {name}"


def legend(block: Block, measure: str) -> list[str]:
    """Describes what the numbers of a block are, a sentence each, without full stops."""
    ours = [cell for cell in block.cells.values() if cell.seeds]
    lines = [_TITLES[measure]]
    if any(cell.seeds > 1 for cell in ours):
        lines.append(
            "Mean ± sample standard deviation over seeds, their number in brackets"
        )
    else:
        lines.append("One seed each")
    if any(cell.diverged for cell in ours):
        lines.append(
            "Diverged: a step of the training, or the forecast, is not finite; the mean "
            "is that of the other seeds"
        )
    if any(cell.best and cell.seeds for cell in ours):
        lines.append(
            "Bold: every seed of the model is better than every seed of the others and "
            "than forecasts without skill, a diverged seed being the worst"
            + ("" if max(c.seeds for c in ours) == 1 else "; this is not a p-value")
        )
        if min(cell.seeds for cell in ours) < 3:
            lines.append("With fewer than three seeds bold says little")
    rows = {row for _, row, _ in block.cells}
    if rows & set(NO_SKILL):
        lines.append(
            "Mean image (of training windows) and last frame (the last that the model "
            "observed) are forecasts without skill"
        )
    if PUBLISHED in rows:
        by = " times 3,072e-8" if measure == "relative_mse" else ""
        lines.append(
            f"Published: {published.SOURCE}{by}, at the protocol paper, one seed"
        )
    if block.cpu_seconds:
        lines.append(
            "Processor seconds: of one training, mean over the runs of the model that "
            "did not diverge"
        )
    for dataset, (best, second, ratio) in block.comparisons.items():
        lines.append(
            f"{dataset}: the log of the error of {table.TITLES.get(best, best)} over that of "
            f"{table.TITLES.get(second, second)}, the next best, is {ratio.estimate:.3f}, "
            f"95 % interval {ratio.low:.3f} to {ratio.high:.3f} (bootstrap over windows "
            "and seeds; geometric means over seeds)"
        )
    return lines


def _rows(block: Block) -> list[list[str]]:
    """Returns the rows of a block below its head, as texts."""
    rows = []
    for dataset in block.datasets:
        for row in ROWS:
            cells = [block.cells.get((dataset, row, model)) for model in block.models]
            if any(cells):
                name = dataset if row == OURS else ""
                rows.append([name, _ROWS[row], *map(_show, cells)])
    counts = [_counts(block.parameters.get(model, []), ",") for model in block.models]
    rows.append(["parameters", "", *counts])
    if block.cpu_seconds:
        known = [block.cpu_seconds.get(model) for model in block.models]
        spent = ["" if value is None else f"{value:,.0f}" for value in known]
        rows.append([_SECONDS, "", *spent])
    return rows


def _records(block: Block, measure: str) -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = [_RECORD]
    for (dataset, row, model), cell in block.cells.items():
        if row != OURS:
            continue
        others = (*NO_SKILL, PUBLISHED)
        beside = [block.cells.get((dataset, other, model)) for other in others]
        lines.append(
            (
                block.protocol,
                dataset,
                model,
                measure,
                cell.mean,
                "" if math.isnan(cell.std) else cell.std,
                cell.seeds,
                cell.diverged,
                *tuple(other.mean if other else "" for other in beside),
                _counts(block.parameters[model]),
                "" if math.isnan(cell.cpu_seconds) else cell.cpu_seconds,
            )
        )
    return lines


def _show(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.seeds and cell.diverged == cell.seeds:
        return f"diverged ({cell.seeds})"
    text = _number(cell.mean)
    if not math.isnan(cell.std):
        text = f"{text} ± {cell.std:.2g}"
    text = f"**{text}**" if cell.best else text
    if cell.diverged:
        return f"{text} ({cell.seeds}, {cell.diverged} diverged)"
    return f"{text} ({cell.seeds})" if cell.seeds > 1 else text


def _number(value: float) -> str:
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _counts(numbers: Sequence[int], separator: str = "") -> str:
    return " / ".join(f"{number:{separator}}" for number in numbers)


def tabulate(
    folders: Sequence[pathlib.Path], measure: str, layout: str
) -> tuple[str, list[str]]:
    """Returns the tables of finished runs.

    Args:
      folders: workdirs.
      measure: a key of `collect.MEASURES`; "all", a table for relative MSE, table units
        and valid prediction time each; or "tuning", the errors of every learning rate,
        see `tuning`.
      layout: a key of `tables.FORMATS`.

    Returns:
      The tables, and a line for each run that is left out.

    Raises:
      UserError: no run could be read.
    """
    if measure == "tuning":
        runs, notes = tuning.collect(folders)
        return tables.FORMATS[layout](tuning.build(runs), notes), notes
    made, notes, wrong = [], [], []
    for one in _ALL if measure == "all" else (measure,):
        try:
            entries, more = collect.collect(folders, one)
        except UserError as error:  # no run has this measure
            wrong.append(error)
            continue
        made += [(block, one) for block in table.build(entries, one)]
        notes += more
    if not made:
        raise wrong[0]
    notes = list(dict.fromkeys(notes))
    made.sort(key=lambda pair: table.order(pair[0].protocol))
    written = [grid for block, one in made for grid in grids([block], one)]
    return tables.FORMATS[layout](written, notes), notes

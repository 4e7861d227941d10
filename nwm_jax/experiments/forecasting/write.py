"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
import math
import pathlib
from collections.abc import Callable, Sequence

from nwm_jax.experiments.forecasting import collect, published, table, tuning
from nwm_jax.experiments.forecasting.collect import NO_SKILL
from nwm_jax.experiments.forecasting.table import (
    OURS,
    PUBLISHED,
    ROWS,
    Block,
    Cell,
)
from nwm_jax.runs import tables
from nwm_jax.runs.tables import bar, escape

_TITLES = {
    "table_units": "Forecast error in table units (relative MSE / 3,072 x 1e8 for "
    "32x32x3 images), lower is better",
    "relative_mse": "Relative MSE of the forecast, lower is better",
    "mse": "Pixel MSE of the forecast, lower is better",
    "vpt": "Valid prediction time of the forward forecast in frames, higher is better",
}
_MODELS = {
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
_ROWS = {
    OURS: "",
    "mean_image": "mean image",
    "last_frame": "last frame",
    PUBLISHED: "published",
}


def markdown(blocks: Sequence[Block], measure: str, notes: Sequence[str]) -> str:
    """Writes blocks as Markdown tables.

    Args:
      blocks: of `table.build`.
      measure: the key of their measure.
      notes: lines that belong below the tables.

    Returns:
      The text: for each protocol a heading and a table; the best of a row is bold, the
      number of seeds stands in brackets, what is missing is empty.
    """
    lines = []
    for block in blocks:
        lines += [f"### {heading(block)}", ""]
        head = ["dataset", "", *(_MODELS.get(name, name) for name in block.models)]
        lines += [bar(head), bar(["---"] * len(head))]
        for cells in _rows(block, lambda text: f"**{text}**"):
            lines.append(bar(cells))
        lines.append("")
    lines += [f"{line}." for line in legend(blocks, measure)]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines) + "\n"


def latex(blocks: Sequence[Block], measure: str, notes: Sequence[str]) -> str:
    r"""Writes blocks as LaTeX tables (package booktabs); arguments as `markdown`.

    Returns:
      One ``table`` environment for each protocol.
    """
    parts = []
    for block in blocks:
        caption = ". ".join([heading(block), *legend([block], measure)])
        head = ["dataset", "", *(_MODELS.get(name, name) for name in block.models)]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(caption)}.}}",
            rf"\begin{{tabular}}{{ll{'r' * len(block.models)}}}",
            r"\toprule",
            " & ".join(escape(name) for name in head) + r" \\",
        ]
        rows = _rows(block, lambda text: rf"\textbf{{{text}}}", plus_minus=r"$\pm$")
        for cells in rows:
            lines += [r"\midrule"] * bool(cells[0])
            names = [escape(name) for name in cells[:2]]
            lines.append(" & ".join([*names, *cells[2:]]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        parts.append("\n".join(lines))
    comments = "".join(f"% {note}\n" for note in notes)
    return "\n\n".join(parts) + "\n" + comments


def as_csv(blocks: Sequence[Block], measure: str, notes: Sequence[str]) -> str:
    """Writes blocks as CSV, one line for each cell with a run; arguments as `markdown`.

    Returns:
      Comma-separated values, with a line of names first; "nan" is a number that was not
      finite. Notes have no place in it.
    """
    del notes
    names = ["protocol", "dataset", "model", "measure", "mean", "std", "seeds"]
    names += [*NO_SKILL, PUBLISHED, "parameters"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for block in blocks:
        for (dataset, row, model), cell in block.cells.items():
            if row != OURS:
                continue
            others = (*NO_SKILL, PUBLISHED)
            beside = [block.cells.get((dataset, other, model)) for other in others]
            writer.writerow(
                [block.protocol, dataset, model, measure, cell.mean]
                + [cell.std if cell.seeds > 1 else "", cell.seeds]
                + [other.mean if other else "" for other in beside]
                + [_counts(block.parameters[model])]
            )
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Sequence[Block], str, Sequence[str]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
}


def heading(block: Block) -> str:
    """Names the protocol of a block."""
    windows = " or ".join(f"{number:,}" for number in block.windows)
    return f"Protocol {block.protocol}, {windows} test windows"


def legend(blocks: Sequence[Block], measure: str) -> list[str]:
    """Describes what the numbers of tables are, a sentence each, without full stops."""
    ours = [cell for block in blocks for cell in block.cells.values() if cell.seeds]
    lines = [_TITLES[measure]]
    if any(cell.seeds > 1 for cell in ours):
        lines.append(
            "Mean ± sample standard deviation over seeds, their number in brackets"
        )
    else:
        lines.append("One seed each")
    rows = {row for block in blocks for _, row, _ in block.cells}
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
    return lines


def _rows(
    block: Block, bold: Callable[[str], str], plus_minus: str = "±"
) -> list[list[str]]:
    """The rows of a block below its head, as texts."""
    rows = []
    for dataset in block.datasets:
        for row in ROWS:
            cells = [block.cells.get((dataset, row, model)) for model in block.models]
            if any(cells):
                name = dataset if row == OURS else ""
                texts = [_show(cell, bold, plus_minus) for cell in cells]
                rows.append([name, _ROWS[row], *texts])
    counts = [_counts(block.parameters.get(model, []), ",") for model in block.models]
    return [*rows, ["parameters", "", *counts]]


def _show(cell: Cell | None, bold: Callable[[str], str], plus_minus: str) -> str:
    if cell is None:
        return ""
    text = _number(cell.mean)
    if not math.isnan(cell.std):
        text = f"{text} {plus_minus} {cell.std:.2g}"
    text = bold(text) if cell.best else text
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
      measure: a key of `collect.MEASURES`; or "tuning", the errors of every learning
        rate, see `tuning`.
      layout: a key of `FORMATS`.

    Returns:
      The tables, and a line for each run that is left out.

    Raises:
      UserError: no run could be read.
    """
    if measure == "tuning":
        found, notes = tuning.collect(folders)
        return tables.FORMATS[layout](tuning.build(found), notes), notes
    entries, notes = collect.collect(folders, measure)
    return FORMATS[layout](table.build(entries, measure), measure, notes), notes

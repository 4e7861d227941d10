"""Plain tables of texts as Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Grid(NamedTuple):
    """A table of texts.

    Attributes:
      heading: what it is.
      head: the names of the columns.
      rows: as many texts each.
      legend: what the numbers are, a sentence each, without full stops.
    """

    heading: str
    head: list[str]
    rows: list[list[str]]
    legend: list[str]


def bar(cells: Sequence[str]) -> str:
    """Returns a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def escape(text: str) -> str:
    r"""Makes LaTeX print a text as it is."""
    text = re.sub(r"([_%&#$])", r"\\\1", text).replace("±", r"$\pm$")
    return text.replace("[TR]", "{[}TR{]}")


def markdown(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    """Writes tables as Markdown, each below its heading; then the notes."""
    lines = []
    for grid in grids:
        lines += [f"### {grid.heading}", "", bar(grid.head)]
        lines += [bar(["---"] * len(grid.head)), *map(bar, grid.rows), ""]
        lines += [*(f"{line}." for line in grid.legend), ""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def latex(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    """Writes tables as LaTeX (package booktabs); the notes are comments."""
    parts = []
    for grid in grids:
        caption = escape(". ".join([grid.heading, *grid.legend]))
        rows = [" & ".join(map(escape, row)) + r" \\" for row in grid.rows]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}.}}",
            rf"\begin{{tabular}}{{ll{'r' * (len(grid.head) - 2)}}}",
            r"\toprule",
            " & ".join(map(escape, grid.head)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n" + "".join(f"% {note}\n" for note in notes)


def as_csv(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    """Writes tables as CSV, an empty line between; notes have no place in it."""
    del notes
    parts = []
    for grid in grids:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([grid.head, *grid.rows])
        parts.append(buffer.getvalue())
    return "\n".join(parts)


FORMATS: dict[str, Callable[[Sequence[Grid], Sequence[str]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
}

"""Tables of texts as Markdown, LaTeX and CSV: the one writer of all experiments."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_BOLD = re.compile(r"\*\*(.+?)\*\*")


class Grid(NamedTuple):
    """A table of texts.

    Attributes:
      heading: what it is.
      head: the names of the columns.
      rows: as many texts each. "**x**" is x in bold. An empty first text belongs to
        the row above.
      legend: what the numbers are, a sentence each, without full stops.
      records: lines of values that a CSV file has instead of head and rows, first the
        line of their names; none: head and rows.
    """

    heading: str
    head: list[str]
    rows: list[list[str]]
    legend: list[str]
    records: Sequence[Sequence[object]] = ()


def _bar(cells: Sequence[str]) -> str:
    """Returns a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    r"""Makes LaTeX print a text as it is."""
    text = re.sub(r"([_%&#$])", r"\\\1", text).replace("±", r"$\pm$")
    text = _BOLD.sub(r"\\textbf{\1}", text)
    return text.replace("[TR]", "{[}TR{]}")


def markdown(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    """Writes tables as Markdown, each below its heading; then the notes."""
    lines = []
    for grid in grids:
        lines += [f"### {grid.heading}", "", _bar(grid.head)]
        lines += [_bar(["---"] * len(grid.head)), *map(_bar, grid.rows), ""]
        lines += [*(f"{line}." for line in grid.legend), ""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def latex(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    """Writes tables as LaTeX (package booktabs); the notes are comments."""
    parts = []
    for grid in grids:
        caption = _escape(". ".join([grid.heading, *grid.legend]))
        grouped = any(not row[0] for row in grid.rows)
        rows = []
        for number, row in enumerate(grid.rows):
            rows += [r"\midrule"] * bool(number == 0 or (grouped and row[0]))
            rows.append(" & ".join(map(_escape, row)) + r" \\")
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}.}}",
            rf"\begin{{tabular}}{{ll{'r' * (len(grid.head) - 2)}}}",
            r"\toprule",
            " & ".join(map(_escape, grid.head)) + r" \\",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n" + "".join(f"% {note}\n" for note in notes)


def as_csv(grids: Sequence[Grid], notes: Sequence[str]) -> str:
    """Writes tables as CSV; notes have no place in it.

    Records with the same names are one table; other tables have an empty line between.
    """
    del notes
    tables: list[list[Sequence[object]]] = []
    for grid in grids:
        if grid.records and tables and tables[-1][0] == grid.records[0]:
            tables[-1] += grid.records[1:]
        elif grid.records:
            tables.append([*grid.records])
        else:
            rows = [[_BOLD.sub(r"\1", text) for text in row] for row in grid.rows]
            tables.append([grid.head, *rows])
    parts = []
    for lines in tables:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(lines)
        parts.append(buffer.getvalue())
    return "\n".join(parts)


FORMATS: dict[str, Callable[[Sequence[Grid], Sequence[str]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
}

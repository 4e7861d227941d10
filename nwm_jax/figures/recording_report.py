"""One page about a recording: numbers, pictures, waves; a file that needs no other."""

import csv
import html
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from nwm_jax.figures import page
from nwm_jax.files import write_atomic
from nwm_jax.waves.describe import text

_MOST_WAVES = 200
_MOST_PICTURES = page.LARGEST - 1_000_000  # bytes; the rest is for numbers
_GROUPS = ("statistics", "fronts", "critical_points", "spectrum", "significance")
_TITLES = {"fronts": "waves", "critical_points": "critical points"}


def write(
    path: str | os.PathLike,
    analysis: dict[str, Any],
    pictures: list[pathlib.Path],
    table: pathlib.Path,
) -> pathlib.Path:
    """Writes report.html.

    Args:
      path: of the page.
      analysis: what waves.json holds.
      pictures: files of pictures and animations, which become part of the page.
      table: waves.csv.

    Returns:
      `path`.
    """
    name = pathlib.Path(analysis["recording"]["path"]).name
    used = {k: v for k, v in analysis["settings"].items() if v is not None}
    parts = [
        f"<h1>Waves of {html.escape(name)}</h1>",
        page.note(f"shape {analysis['recording']['shape']}; {text(used)}"),
    ]
    parts += [page.note(line) for line in analysis["notes"]]
    parts += [page.note(line, "warning") for line in analysis["warnings"]]
    parts.append(page.pictures(pictures, _MOST_PICTURES))
    for group in _GROUPS:
        if analysis[group]:
            parts.append(f"<h2>{_TITLES.get(group, group)}</h2>")
            parts.append(_numbers(analysis[group], analysis["units"]))
    parts.append(_waves(table))
    return write_atomic(path, page.build(f"Waves of {name}", "\n".join(parts)))


def _numbers(numbers: Mapping[str, Any], units: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td class='name'>{html.escape(key).replace('_', '_<wbr>')}</td>"
        f'<td class="number">{html.escape(text(value))}</td>'
        f'<td class="whole">{html.escape(_unit(key, value, units))}</td></tr>\n'
        for key, value in numbers.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _unit(key: str, value: Any, units: Mapping[str, str]) -> str:
    """The unit of a number; a group of numbers (by class, a kind of point) has none."""
    return "" if value is None or isinstance(value, Mapping) else units.get(key, "")


def _waves(path: pathlib.Path) -> str:
    """The first rows of waves.csv."""
    with open(path, newline="") as file:
        head, *rows = csv.reader(file)
    shown = rows[:_MOST_WAVES]
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in shown
    )
    more = f"The first {len(shown)}; all of them are in {path.name}."
    return (
        f"<h2>{len(rows)} waves, one by one</h2>"
        + (page.note(more) if len(rows) > len(shown) else "")
        + '<div class="wide"><table class="whole"><tr>'
        + "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        + f"</tr>\n{lines}</table></div>"
    )

"""One page about a recording: numbers, pictures, waves; a file that needs no other."""

import base64
import csv
import html
import os
import pathlib
from typing import Any

from nwm_jax.files import write_atomic
from nwm_jax.waves.describe import text

_MOST_WAVES = 200
_GROUPS = ("statistics", "fronts", "critical_points", "spectrum", "significance")
_TITLES = {"fronts": "waves", "critical_points": "critical points"}
_STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 60em; color: #222 }
table { border-collapse: collapse; margin: 0.5em 0 }
td, th { border-bottom: 1px solid #ddd; padding: 0.15em 0.8em 0.15em 0;
         text-align: left; vertical-align: top; font-size: 13px }
img { max-width: 100%; display: block; margin: 1em 0 }
.warning { background: #fff3cd; padding: 0.4em 0.8em }
"""


def write(
    path: str | os.PathLike,
    result: dict[str, Any],
    pictures: list[pathlib.Path],
    table: pathlib.Path,
) -> pathlib.Path:
    """Writes report.html.

    Args:
      path: of the page.
      result: what waves.json holds.
      pictures: files of pictures and animations, which become part of the page.
      table: waves.csv.

    Returns:
      `path`.
    """
    name = pathlib.Path(result["recording"]["path"]).name
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>{_safe(name)}</title><style>{_STYLE}</style>",
        f"<h1>Waves of {_safe(name)}</h1>",
        f"<p>shape {_safe(result['recording']['shape'])}; "
        + _safe(text({k: v for k, v in result["settings"].items() if v is not None}))
        + "</p>",
    ]
    parts += [f"<p>{_safe(line)}</p>" for line in result["notes"]]
    parts += [f"<p class='warning'>{_safe(line)}</p>" for line in result["warnings"]]
    for picture in pictures:
        kind = picture.suffix[1:]
        data = base64.b64encode(picture.read_bytes()).decode()
        parts.append(
            f"<img alt='{_safe(picture.stem)}' src='data:image/{kind};base64,{data}'>"
        )
    for group in _GROUPS:
        numbers = result[group]
        if not numbers:
            continue
        parts.append(f"<h2>{_TITLES.get(group, group)}</h2><table>")
        for key, value in numbers.items():
            unit = result["units"].get(key, "")
            parts.append(
                f"<tr><td>{_safe(key)}</td><td>{_safe(text(value))}</td>"
                f"<td>{_safe(unit)}</td></tr>"
            )
        parts.append("</table>")
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    shown = rows[1 : 1 + _MOST_WAVES]
    parts.append(f"<h2>{len(rows) - 1} waves</h2>")
    if len(rows) - 1 > len(shown):
        parts.append(f"<p>The first {len(shown)}; all of them are in waves.csv.</p>")
    parts.append("<table><tr>")
    parts += [f"<th>{_safe(cell)}</th>" for cell in rows[0]]
    for row in shown:
        parts.append("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row))
    parts.append("</table></html>")
    return write_atomic(path, "\n".join(parts))


def _safe(value: Any) -> str:
    return html.escape(str(value))

"""Pages of HTML that load nothing: their look, their pictures and their policy.

Pictures are inside, and the content policy forbids every request. All texts are escaped.
"""

import base64
import hashlib
import html
import io
import json
import pathlib
import string
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image, ImageSequence

from nwm_jax.errors import UserError

LARGEST = 5_000_000  # bytes of a page
_HERE = pathlib.Path(__file__).parent
_MOST_FRAMES = 150


def build(title: str, body: str) -> str:
    """Returns a whole page.

    Args:
      title: plain text.
      body: HTML, whose texts are escaped.

    Raises:
      UserError: the page has more than `LARGEST` bytes.
    """
    style = (_HERE / "page.css").read_text()
    script = (_HERE / "page.js").read_text()
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_allowed(style)}; script-src {_allowed(script)}"
    )
    template = string.Template((_HERE / "page.html").read_text())
    page = template.substitute(
        policy=policy, title=html.escape(title), style=style, script=script, body=body
    )
    if len(page) > LARGEST:
        raise UserError(
            f"the report has {len(page) / 1e6:.1f} MB, more than "
            f"{LARGEST / 1e6:.0f}: report fewer runs"
        )
    return page


def _allowed(text: str) -> str:
    """What the content policy says of one inline text: only this very text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def note(text: str, kind: str = "note") -> str:
    """Returns a paragraph of plain text, of class "note" or "warning"."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def table(rows: Mapping[str, Any], units: Mapping[str, str] | None = None) -> str:
    """Returns a table of names, with their units, and values."""
    lines = []
    for key, value in rows.items():
        unit = (units or {}).get(key)
        label = html.escape(f"{key} ({unit})" if unit else key)
        lines.append(f"<tr><td>{label}</td>{number(value)}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def number(value: Any) -> str:
    """Returns the cell of a table with a value to 4 digits."""
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    if isinstance(value, list):
        items = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)
        value = ", ".join(items)
    return (
        f'<td class="number">{html.escape("-" if value is None else str(value))}</td>'
    )


def pictures(paths: Iterable[pathlib.Path], budget: int) -> str:
    """Returns pictures (PNG) and animations, as many as fit into `budget` bytes."""
    parts = []
    for path in paths:
        text = _picture(path) if path.suffix == ".png" else _movie(path)
        if len(text) <= budget:
            budget -= len(text)
            parts.append(text)
        else:
            parts.append(note(f"{path.name} is too large for this page"))
    return "\n".join(parts)


def _picture(path: pathlib.Path) -> str:
    """A PNG file as a figure."""
    data = base64.b64encode(path.read_bytes()).decode()
    name = html.escape(path.stem.replace("_", " "))
    return (
        f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _movie(path: pathlib.Path) -> str:
    """An animation as a list of frames that a slider goes through."""
    with Image.open(path) as opened:
        count = getattr(opened, "n_frames", 1)
        every = -(-count // _MOST_FRAMES)
        frames, durations = [], []
        for k, frame in enumerate(ImageSequence.Iterator(opened)):
            durations.append(frame.info.get("duration", 40))
            if k % every == 0:
                buffer = io.BytesIO()
                frame.convert("RGB").save(buffer, "WEBP", quality=80)
                data = base64.b64encode(buffer.getvalue()).decode()
                frames.append(f"data:image/webp;base64,{data}")
    name = html.escape(path.stem.replace("_", " "))
    interval = max(10, round(every * sum(durations) / max(len(durations), 1)))
    return (
        f'<figure class="movie" data-interval="{interval}"><img alt="{name}">'
        '<div class="player"><button type="button">Play</button>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" '
        'aria-label="frame"><output></output></div>'
        f"<figcaption>{name}</figcaption>"
        f'<script type="application/json">{json.dumps(frames)}</script></figure>'
    )

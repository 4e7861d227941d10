"""report.html: what a run is, what it scored and its pictures, in one file.

The file loads nothing: pictures are inside, and its content policy forbids every request.
All texts of a run are escaped. It is written from the files of a workdir alone.
"""

import base64
import hashlib
import html
import io
import json
import pathlib
import shlex
import string
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image, ImageSequence

from nwm_jax.errors import UserError
from nwm_jax.files import read_json, write_atomic
from nwm_jax.runs import workdirs
from nwm_jax.waves import describe

REPORT = "report.html"
LARGEST = 5_000_000  # bytes of a report
_HERE = pathlib.Path(__file__).parent
_PICTURES = (".png",)
_MOVIES = (".webp", ".gif")
_MOST_FRAMES = 150
_BASELINES = ("forecast", "mean_image", "last_frame")
_SCORES = {
    "mse": "pixel MSE",
    "relative_mse": "relative MSE",
    "table_units": "table units (1e-8)",
}
_UNITS = describe.names(describe.Units(time="frame", length="cell"))


def write(workdir: pathlib.Path) -> pathlib.Path:
    """Writes the report of one run into its workdir.

    Args:
      workdir: the folder of a run; what it does not hold yet (an evaluation, figures) is
        left out of the report.

    Returns:
      The path of the report.

    Raises:
      UserError: not a workdir, or a damaged file in it.
    """
    name, body = _run(pathlib.Path(workdir), LARGEST)
    return write_atomic(pathlib.Path(workdir) / REPORT, _page(name, body))


def write_comparison(
    folders: Iterable[pathlib.Path], tables: Iterable[str], out: pathlib.Path
) -> pathlib.Path:
    """Writes one report of several runs.

    Args:
      folders: workdirs; those that cannot be read are listed in the report.
      tables: texts to show first, such as the tables of the runs.
      out: the file to write, ending in .html.

    Returns:
      `out`.

    Raises:
      UserError: no run could be read, or `out` has another ending.
    """
    out = pathlib.Path(out)
    if out.suffix != ".html":
        raise UserError(f"--out must end in .html, got {out.name}")
    folders = list(folders)
    runs, skipped = [], []
    for folder in folders:
        try:
            runs.append(_run(folder, LARGEST // (2 * len(folders))))
        except UserError as error:
            skipped.append(f"{folder}: {error}")
    if not runs:
        raise UserError("no run to report: " + "; ".join(skipped or ["no folder fits"]))
    title = f"{len(runs)} runs"
    parts = [f"<h1>{title}</h1>"]
    parts += [f"<pre>{html.escape(text)}</pre>" for text in tables]
    parts += [f'<p class="note">skipped: {html.escape(text)}</p>' for text in skipped]
    parts += [
        f"<details><summary>{html.escape(name)}</summary>{body}</details>"
        for name, body in runs
    ]
    return write_atomic(out, _page(title, "\n".join(parts)))


def _page(title: str, body: str) -> str:
    style = (_HERE / "report.css").read_text()
    script = (_HERE / "report.js").read_text()
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_allowed(style)}; script-src {_allowed(script)}"
    )
    template = string.Template((_HERE / "report.html").read_text())
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


def _run(workdir: pathlib.Path, budget: int) -> tuple[str, str]:
    """The name of a run and what its report shows, in about `budget` bytes."""
    config = workdirs.read(workdir)
    name = f"{config.get('name', workdir.name)}"
    stored = read_json(workdir / "config.json")
    scored = workdirs.scores(workdir) if (workdir / "eval.json").exists() else {}
    protocol = str(config.get("protocol", ""))
    parts = [f"<h1>{html.escape(name)}</h1>"]
    about = [protocol and f"protocol {protocol}", f"workdir {workdir}"]
    if "step" in scored:
        about.append(f"scored at step {scored['step']}")
    parts.append(_note(", ".join(filter(None, about))))
    if protocol.startswith("smoke"):
        parts.append(_note("This run is not trained: it shows that everything runs."))
    parts.append(_scores(scored))
    parts.append(_pictures(workdir / "figures", budget))
    if isinstance(scored.get("waves"), Mapping):
        waves = _flat(scored["waves"])
        parts.append(f"<h2>Waves of the hidden state</h2>{_table(waves, _UNITS)}")
    command = stored.get("command_line", [])
    if isinstance(command, list) and command:
        text = shlex.join(map(str, command))
        parts.append(f"<h2>Command</h2><pre>{html.escape(text)}</pre>")
    versions = stored.get("versions", {})
    if isinstance(versions, Mapping) and versions:
        parts.append(f"<h2>Environment</h2>{_table(_flat(versions))}")
    parts.append(
        "<h2>Config</h2><details><summary>all fields</summary>"
        f"{_table(_flat(config))}</details>"
    )
    return name, "\n".join(filter(None, parts))


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _scores(scored: Mapping[str, Any]) -> str:
    """Scores next to the baselines without skill, then everything else."""
    if not scored:
        return _note("Not evaluated yet.")
    compared = {
        key: value
        for key, value in scored.items()
        if isinstance(value, Mapping) and set(_BASELINES) <= set(value)
    }
    parts = ["<h2>Scores</h2>"]
    if compared:
        head = "".join(
            f'<th class="number">{html.escape(text)}</th>'
            for text in ("forecast", "mean image", "last frame")
        )
        rows = "".join(
            f"<tr><td>{html.escape(_SCORES.get(key, key))}</td>"
            + "".join(_number(value[name]) for name in _BASELINES)
            + "</tr>"
            for key, value in compared.items()
        )
        parts.append(f'<div class="wide"><table><tr><th></th>{head}</tr>{rows}</table>')
        parts.append("</div>")
        parts.append(_note("mean image and last frame: forecasts without skill"))
    rest = _flat({k: v for k, v in scored.items() if k not in {*compared, "waves"}})
    parts.append(f"<details><summary>all numbers</summary>{_table(rest)}</details>")
    return "\n".join(parts)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted names; long lists are left out."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list) or len(value) <= 8:
            flat[f"{prefix}{key}"] = value
    return flat


def _table(rows: Mapping[str, Any], units: Mapping[str, str] | None = None) -> str:
    lines = []
    for key, value in rows.items():
        unit = (units or {}).get(key)
        label = html.escape(f"{key} ({unit})" if unit else key)
        lines.append(f"<tr><td>{label}</td>{_number(value)}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    if isinstance(value, list):
        items = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)
        value = ", ".join(items)
    return (
        f'<td class="number">{html.escape("-" if value is None else str(value))}</td>'
    )


def _pictures(folder: pathlib.Path, budget: int) -> str:
    """The movies and pictures of a folder, as many as fit into the budget."""
    parts, left = [], budget
    paths = sorted(folder.glob("*")) if folder.is_dir() else []
    for path in [p for p in paths if p.suffix in _MOVIES] + [
        p for p in paths if p.suffix in _PICTURES
    ]:
        text = _movie(path) if path.suffix in _MOVIES else _picture(path)
        if len(text) <= left:
            left -= len(text)
            parts.append(text)
        else:
            parts.append(_note(f"{path.name} is too large for this page"))
    return "<h2>Pictures</h2>" + "\n".join(parts) if parts else ""


def _picture(path: pathlib.Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    name = html.escape(path.stem.replace("_", " "))
    return (
        f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _movie(path: pathlib.Path) -> str:
    """An animation as a list of frames that a slider goes through."""
    with Image.open(path) as movie:
        count = getattr(movie, "n_frames", 1)
        every = -(-count // _MOST_FRAMES)
        frames, durations = [], []
        for k, frame in enumerate(ImageSequence.Iterator(movie)):
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

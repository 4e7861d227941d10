"""report.html: what a run is, what it scored and its pictures, in one file.

The file loads nothing: pictures are inside, and its content policy forbids every request.
All texts of a run are escaped. It is written from the files of a workdir alone.
"""

import html
import pathlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from nwm_jax.errors import UserError
from nwm_jax.figures import page
from nwm_jax.files import read_json, write_atomic
from nwm_jax.runs import workdirs
from nwm_jax.waves import describe

REPORT = "report.html"
_PICTURES = (".png",)
_MOVIES = (".webp", ".gif")
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
    name, body = _run(pathlib.Path(workdir), page.LARGEST)
    return write_atomic(pathlib.Path(workdir) / REPORT, page.build(name, body))


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
            runs.append(_run(folder, page.LARGEST // (2 * len(folders))))
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
    return write_atomic(out, page.build(title, "\n".join(parts)))


def _run(workdir: pathlib.Path, budget: int) -> tuple[str, str]:
    """Returns the name of a run and what its report shows, in about `budget` bytes."""
    config = workdirs.read(workdir)
    name = f"{config.get('name', workdir.name)}"
    stored = read_json(workdir / "config.json")
    scored = workdirs.scores(workdir) if (workdir / "eval.json").exists() else {}
    protocol = str(config.get("protocol", ""))
    parts = [f"<h1>{html.escape(name)}</h1>"]
    about = [protocol and f"protocol {protocol}", f"workdir {workdir}"]
    if "step" in scored:
        about.append(f"scored at step {scored['step']}")
    parts.append(page.note(", ".join(filter(None, about))))
    if workdirs.untrained(config):
        parts.append(
            page.note("This run is not trained: it shows that everything runs.")
        )
    parts.append(_scores(scored))
    parts.append(_pictures(workdir / "figures", budget))
    if isinstance(scored.get("waves"), Mapping):
        waves = _flat(scored["waves"])
        parts.append(f"<h2>Waves of the hidden state</h2>{page.table(waves, _UNITS)}")
    command = stored.get("command_line", [])
    if isinstance(command, list) and command:
        text = shlex.join(map(str, command))
        parts.append(f"<h2>Command</h2><pre>{html.escape(text)}</pre>")
    versions = stored.get("versions", {})
    if isinstance(versions, Mapping) and versions:
        parts.append(f"<h2>Environment</h2>{page.table(_flat(versions))}")
    parts.append(
        "<h2>Config</h2><details><summary>all fields</summary>"
        f"{page.table(_flat(config))}</details>"
    )
    return name, "\n".join(filter(None, parts))


def _scores(scored: Mapping[str, Any]) -> str:
    """Returns scores next to the baselines without skill, then everything else."""
    if not scored:
        return page.note("Not evaluated yet.")
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
            + "".join(page.number(value[name]) for name in _BASELINES)
            + "</tr>"
            for key, value in compared.items()
        )
        parts.append(f'<div class="wide"><table><tr><th></th>{head}</tr>{rows}</table>')
        parts.append("</div>")
        parts.append(page.note("mean image and last frame: forecasts without skill"))
    rest = _flat({k: v for k, v in scored.items() if k not in {*compared, "waves"}})
    parts.append(f"<details><summary>all numbers</summary>{page.table(rest)}</details>")
    return "\n".join(parts)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested dicts as one, with dotted names; long lists are left out."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list) or len(value) <= 8:
            flat[f"{prefix}{key}"] = value
    return flat


def _pictures(folder: pathlib.Path, budget: int) -> str:
    """Returns the movies and pictures of a folder, as many as fit into the budget."""
    paths = sorted(folder.glob("*")) if folder.is_dir() else []
    shown = [p for p in paths if p.suffix in _MOVIES]
    shown += [p for p in paths if p.suffix in _PICTURES]
    return "<h2>Pictures</h2>" + page.pictures(shown, budget) if shown else ""

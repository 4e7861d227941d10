"""Where metrics go: `metrics.jsonl` always, TensorBoard and W&B if asked for."""

import contextlib
import json
import math
import os
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from nwm_jax import files
from nwm_jax.errors import UserError

METRICS = "metrics.jsonl"
_ROW = {"step": int, "kind": str}


class Writer(Protocol):
    """Something that takes rows of numbers."""

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Takes one row: `kind` is "train" or "eval"; the names hold no prefix."""

    def close(self) -> None:
        """Finishes; nothing is written afterwards."""


class JsonLines:
    """Appends rows to `metrics.jsonl`: `{"step": 100, "kind": "train", "loss": ...}`.

    Every row is in the file when `write` returns, so that a killed run loses none.
    Numbers that are not finite, which JSON does not have, are left out: such is the
    relative error of frames that are all black.

    Args:
      workdir: the folder of the run.
      step: rows after this step are dropped first, since they will come again;
        None: all of them, the run starts afresh.
    """

    def __init__(self, workdir: str | os.PathLike, step: int | None):
        path = pathlib.Path(workdir) / METRICS
        rows = [] if step is None else read_metrics(workdir)
        kept = [json.dumps(row) + "\n" for row in rows if row["step"] <= step]
        files.write_atomic(path, "".join(kept))
        self._file: IO[str] = path.open("a")

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Appends one row."""
        finite = {name: v for name, v in values.items() if math.isfinite(v)}
        row = {"step": step, "kind": kind, **finite}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoard:
    """Writes event files to `<workdir>/tensorboard`.

    Args:
      workdir: the folder of the run.
      step: the step that the run goes on from, whose later events TensorBoard then
        hides; None: it starts afresh and all earlier events are hidden.

    Raises:
      UserError: the package tensorboardX is missing.
    """

    def __init__(self, workdir: str | os.PathLike, step: int | None):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "tensorboard=True needs a package: pip install 'nwm_jax[tensorboard]'"
            ) from None
        folder = str(pathlib.Path(workdir) / "tensorboard")
        purge = 0 if step is None else step + 1
        self._writer = SummaryWriter(folder, purge_step=purge)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Adds one scalar per value, named `kind/name`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class WandB:
    """Logs to Weights & Biases; a resumed run goes on in the same W&B run.

    Every row holds its `step`, which is the horizontal axis of the charts. It is not
    W&B's own count of rows: that one only grows, and rows of steps that a resumed run
    repeats would be dropped. Here they come a second time, and the later one counts.

    Args:
      workdir: the folder of the run; `wandb_id` in it keeps the run's name.
      project: the W&B project.
      config: the run's config as a plain dictionary.
      step: the step that the run goes on from; None: it starts afresh, as a new run
        of W&B.

    Raises:
      UserError: the package wandb is missing.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        project: str,
        config: Mapping[str, Any],
        step: int | None,
    ):
        try:
            import wandb
        except ImportError:
            raise UserError(
                f"wandb={project!r} needs a package: pip install 'nwm_jax[wandb]'"
            ) from None
        path = pathlib.Path(workdir) / "wandb_id"
        if step is None or not path.exists():
            files.write_atomic(path, uuid.uuid4().hex[:12])
        self._run = wandb.init(
            project=project,
            dir=str(workdir),
            id=path.read_text().strip(),
            resume="allow",
            config=dict(config),
            # What may change when a run goes on, such as num_steps.
            allow_val_change=True,
        )
        for kind in ("train", "eval"):
            self._run.define_metric(f"{kind}/*", step_metric="step")

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Logs one row, its names prefixed with `kind/`."""
        row = {f"{kind}/{name}": value for name, value in values.items()}
        self._run.log({"step": step, **row})

    def close(self) -> None:
        """Finishes the W&B run."""
        self._run.finish()


def check(config: Mapping[str, Any]) -> None:
    """Checks that the packages of the writers that a config asks for are there.

    Raises:
      UserError: one is missing.
    """
    import importlib.util

    wanted = (("tensorboard", "tensorboardX"), ("wandb", "wandb"))
    for field, package in wanted:
        if config.get(field) and importlib.util.find_spec(package) is None:
            raise UserError(
                f"{field}={config[field]!r} needs the package {package}: "
                f"pip install 'nwm_jax[{field}]'"
            )


def build(
    config: Mapping[str, Any], workdir: str | os.PathLike, step: int | None
) -> list[Writer]:
    """Makes the writers that a config asks for; call it in process 0 only.

    Args:
      config: the run's config; `tensorboard` and `wandb` are read.
      workdir: the folder of the run.
      step: the step that the run goes on from; None: it starts afresh.

    Returns:
      The writers; `metrics.jsonl` is always the first.

    Raises:
      UserError: a package that was asked for is missing.
    """
    check(config)
    writers: list[Writer] = [JsonLines(workdir, step)]
    if config.get("tensorboard"):
        writers.append(TensorBoard(workdir, step))
    if config.get("wandb"):
        plain = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        writers.append(WandB(workdir, config["wandb"], plain, step))
    return writers


def write_all(
    writers: Sequence[Writer], kind: str, step: int, values: Mapping[str, Any]
) -> None:
    """Returns one row to every writer."""
    row = {name: float(value) for name, value in values.items()}
    for writer in writers:
        writer.write(kind, step, row)


def read_metrics(workdir: str | os.PathLike) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`.

    Args:
      workdir: the folder of the run.

    Returns:
      The rows in order, each with `step` and `kind` ("train" or "eval"); empty if
      there is no file. A line that a kill tore, or that is damaged, is left out.
    """
    path = pathlib.Path(workdir) / METRICS
    rows = []
    for line in files.read_bytes(path).splitlines() if path.exists() else []:
        with contextlib.suppress(UserError):
            row = files.parse_json(line, path)
            rows.append(files.check_fields(row, _ROW, f"{path} holds another row"))
    return rows

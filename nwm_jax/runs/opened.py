"""Finished and unfinished runs: open, evaluate and export a workdir; forecast with it.

A workdir is all that is needed: its `config.json` names the data and the model, its
`checkpoints/` hold the weights.
"""

import io
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.config import presets
from nwm_jax.data import render
from nwm_jax.data.source import Source, open_frames
from nwm_jax.errors import UserError
from nwm_jax.models import ForecastModel
from nwm_jax.models.compiled import check_shape
from nwm_jax.modules import functional
from nwm_jax.modules.field_cell import FieldCell
from nwm_jax.runs import pretrained, scores, workdirs
from nwm_jax.training import checkpoint, evaluating, mesh
from nwm_jax.training import state as states
from nwm_jax.training.registry import build
from nwm_jax.training.task import Counter, Task


class _OfFrames(Protocol):
    """A task whose data is frames, that of a forecaster."""

    source: Source


class Run(NamedTuple):
    """A run that was read from its workdir, or trained weights of the package.

    Attributes:
      workdir: its folder; of trained weights of the package their name.
      config: its resolved config.
      task: its task, with the data open.
      model: the model with the weights of `step`.
      step: the number of updates that the weights have had.
      card: of trained weights of the package; None for a workdir.
    """

    workdir: pathlib.Path
    config: ConfigDict
    task: Task
    model: nnx.Module
    step: int
    card: pretrained.Card | None = None

    @property
    def title(self) -> str:
        """What stands above its pictures: config, preset, step."""
        preset = self.config.get("preset") or "paper"
        name = self.config.name + (f":{preset}" if preset != "paper" else "")
        bare = self.step == 0 or workdirs.untrained(self.config)
        return f"{name}, step {self.step:,}{' (not trained)' if bare else ''}"


def open_run(
    workdir: str | os.PathLike,
    which: str | int | None = "last",
    task: Task | None = None,
    counter: Counter | None = None,
) -> Run:
    """Opens a workdir, or trained weights that come with the package.

    Args:
      workdir: the folder of a run, or "pretrained:NAME" (NAME alone where there is no
        such folder) with a name of `pretrained.pretrained`.
      which: "last", "best" (by the evaluations during training; the last if there were
        none), the step of a checkpoint (0: the weights before the first step), or None:
        what the task has evaluated, `Task.scored`.
      task: the run's task where it is already open.
      counter: called with what is being done, returns the progress(done, total) that is
        called while data is made.

    Returns:
      The run. Simulated data is made again if the cache no longer has it.

    Raises:
      UserError: not a workdir, or no such checkpoint.
    """
    card, workdir = pretrained.find(workdir), pathlib.Path(workdir)
    config = pretrained.read_config(card) if card else read_config(workdir)
    task = task or build(config, counter)
    which = task.scored if which is None else which
    if card:
        if which not in ("last", "best", card.step):
            raise UserError(
                f"{workdir} has the weights of step {card.step} only, not of {which}"
            )
        step, (params, state) = card.step, pretrained.read(card, task)
    elif which == 0:
        step, (params, state) = 0, states.untrained(task, config.seed)
    else:
        step, params, state = checkpoint.load(workdir, task, which)
    model = functional.merge(task.graphdef, params, state)
    return Run(workdir, config, task, model, step, card)


def which(text: str | None) -> str | int | None:
    """Reads "last", "best" or the number of a step, as a flag spells it."""
    return int(text) if text and checkpoint.is_step(text) else text


def read_config(workdir: str | os.PathLike) -> ConfigDict:
    """Reads the resolved config of a workdir.

    Raises:
      UserError: the folder is not a workdir, or its config.json is damaged.
    """
    path = pathlib.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(
            f"{workdir} is not a workdir (it has no config.json): give the --workdir "
            f"of a run of python -m nwm_jax.train{_or_pretrained()}"
        )
    wrong = f"{path} does not hold the config of a run"
    stored = files.check_fields(files.read_json(path), {"config": dict}, wrong)
    return workdirs.resolve(stored["config"], wrong)


def _or_pretrained() -> str:
    names = ", ".join(f"{pretrained.PREFIX}{name}" for name in pretrained.pretrained())
    return names and f", or one of {names}"


def load(
    path: str | os.PathLike,
    which: str | int = "last",
    config: str | os.PathLike | None = None,
) -> nnx.Module:
    """Returns a trained model back.

    Args:
      path: a workdir, or a name of `nwm_jax.pretrained`, such as
        "spring_nwm1d:laptop" or "pretrained:spring_nwm1d:laptop"; without the prefix a
        folder of that name comes first.
      which: "last", "best" or the step of a checkpoint.
      config: your own config file, if the run's cell, model, dataset or task is defined
        there; it is run.

    Returns:
      The model, for example a `models.forecaster.Forecaster`.

    Raises:
      UserError: not a workdir, or no such checkpoint.
    """
    if config is not None:
        presets.define(config)
    return open_run(path, which).model


def export(
    workdir: str | os.PathLike, path: str | os.PathLike, which: str | int = "last"
) -> pathlib.Path:
    """Writes the weights of a run as one `.npz` for other programs.

    Every array has the path of its parameter as name ("decoder/convs/0/kernel");
    "config.json" holds as UTF-8 bytes the resolved "config", the "step", and under
    "constants" the dt, gamma and alpha of every field of oscillators, by its path
    ({"cell": {"dt": 0.125, ...}}). The arrays of that name, such as "cell/dt", are the
    raw numbers that training moves: dt = sigmoid(raw), gamma = max(raw, 0),
    alpha = max(raw, 0); of linear waves gamma = softplus(raw), alpha = softplus(raw).

    Args:
      workdir: the folder of a run.
      path: the file to write, ending in .npz.
      which: "last", "best" or the step of a checkpoint.

    Returns:
      `path`.

    Raises:
      UserError: not a workdir, no such checkpoint, or another ending.
    """
    if pathlib.Path(path).suffix != ".npz":
        raise UserError(f"weights are exported to a file ending in .npz, not {path}")
    run = open_run(workdir, which)
    _, params, state = functional.split(run.model)
    leaves = pretrained.names((params, state))
    arrays: dict[str, Any] = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    constants = {
        "/".join(map(str, path)): {
            name: np.asarray(value).tolist() for name, value in cell.constants.items()
        }
        for path, cell in nnx.iter_modules(run.model)
        if isinstance(cell, FieldCell)
    }
    content = {"config": run.config.to_dict(), "step": run.step, "constants": constants}
    arrays["config.json"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return files.write_atomic(path, buffer.getvalue())


def evaluate(
    run: Run,
    metrics: Sequence[str] = (),
    counter: Counter | None = None,
    data: str = "",
    split: str = "test",
    out: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Scores a run on fixed sets of examples and writes eval.json.

    What eval.json holds of this step already is kept beside what is computed. If there
    is nothing of this step, the task's own scores are computed too.

    Args:
      run: an opened run.
      metrics: which, for example ("mse", "vpt"); none: the usual ones of the task.
      counter: called with the name of each metric, returns its progress(done, total).
      data: other data than the run's own, whose metrics are computed instead of
        `metrics`; see `Task.evaluation_on`.
      split: "test", or "valid", which training was followed on: its scores go to
        eval_valid.json.
      out: another file for the scores, ending in .json; trained weights of the package
        need one.

    Returns:
      What eval.json holds: "protocol", "step", "num_windows", ... and the summaries of
      the evaluations. Instead of a number that is not finite, such as the relative
      error of frames that are black in all windows, there is None, null in the file.

    Raises:
      UserError: an unknown metric, one that the data do not have, or no place for the
        scores.
    """
    path = scores.path(run.workdir if run.card is None else None, split, out)
    if split == "valid":
        if run.task.validation is None:
            raise UserError(
                f"the data of {run.config.name} has no split {split} of its own: "
                f"{scores.EVALUATION} has all scores"
            )
        run = run._replace(task=run.task.validation)
    if data:
        chosen = run.task.evaluation_on(data)
    else:
        chosen = run.task.evaluations(metrics)
    _, params, state = functional.split(run.model)
    report = scores.head(run.config, run.task, run.step, params)
    report |= {"split": split} if split != "test" else {}
    kept = mesh.on_primary(lambda: scores.kept(path, report))
    if not kept and run.task not in chosen.values():
        chosen = {run.config.task: run.task} | chosen
    for name, evaluation in chosen.items():
        kept |= evaluating.run_eval(
            evaluation,
            params,
            state,
            mesh.make_mesh(),
            evaluation.eval_batch_size,
            progress=counter(name) if counter else None,
        )
    report = scores.without_nan(report | kept)
    if run.card is None:
        report |= mesh.on_primary(lambda: scores.spent(run.workdir, run.step))
    if mesh.is_primary():
        files.write_json(path, report)
    return report


def forecast(
    run: Run, source: str | os.PathLike, target: str | os.PathLike, horizon: int
) -> pathlib.Path:
    """Forecasts your own clips from a file into a file.

    Of several processes only the first one works and writes. The model sees the last
    `num_observed` frames of every clip, as in its evaluation.

    Args:
      run: an opened run of a forecaster.
      source: a .npy file, uint8 ``[T, H, W, C]`` or ``[N, T, H, W, C]``.
      target: the .npy file to write: uint8, the next `horizon` frames in the layout of
        the source.
      horizon: how many frames to forecast, >= 1.

    Returns:
      `target`.

    Raises:
      UserError: not such a file, too few frames, images of another shape than the
        model's, or a target that does not end in .npy.
    """
    if pathlib.Path(target).suffix != ".npy":
        raise UserError(f"a forecast is written to a file ending in .npy, not {target}")
    clips = open_frames(source, ranks=(4, 5))
    # A run may be of any task; one of a forecaster has these.
    model, task = cast(ForecastModel, run.model), cast(_OfFrames, run.task)
    seen, shape = model.num_observed, task.source.image_shape
    whole = clips.shape if clips.ndim == 5 else (1, *clips.shape)
    check_shape(whole, shape, str(source))
    if clips.shape[-4] < seen:
        raise UserError(
            f"{source} has {clips.shape[-4]} frames; the model observes {seen}"
        )
    target = pathlib.Path(target)
    if not mesh.is_primary():
        return target
    pixels = horizon * math.prod(shape)
    num_clips = math.prod(clips.shape[:-4])
    together = min(num_clips, run.config.eval.batch_size)
    files.check_memory(
        pixels * (4 * together + num_clips),
        f"--horizon={horizon} for {num_clips} clips",
        "forecast fewer frames, or fewer clips at a time",
    )
    observed = clips[..., -seen:, :, :, :].reshape(-1, seen, *shape)
    size = run.config.eval.batch_size
    parts = [
        render.to_uint8(model.forecast(observed[start : start + size], horizon))
        for start in range(0, len(observed), size)
    ]
    means = np.concatenate([np.asarray(part) for part in parts])
    means = means.reshape(*clips.shape[:-4], horizon, *shape)
    buffer = io.BytesIO()
    np.save(buffer, means)
    return files.write_atomic(target, buffer.getvalue())

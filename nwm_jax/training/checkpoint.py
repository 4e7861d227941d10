"""Checkpoints on disk: the only file that knows Orbax.

`checkpoints/<step>/` holds Orbax's folders `model` and `optimizer` and our manifest
(`manifests.py`), by which damage is found before Orbax meets it. It is written as
`<step>.saving` and gets its name when all of it is there.
"""

import contextlib
import math
import os
import pathlib
import re
from typing import Any

import jax
import numpy as np

from nwm_jax import folders
from nwm_jax.errors import UserError
from nwm_jax.training import manifests, orbax_noise, signals
from nwm_jax.training import mesh as meshes
from nwm_jax.training import state as states
from nwm_jax.training.state import TrainState
from nwm_jax.training.task import Task

with orbax_noise.root_logger_kept():
    import orbax.checkpoint as ocp

KEEP = 2


def is_step(text: str) -> bool:
    """Returns whether a text is the number of a step, as folders are named."""
    return re.fullmatch(r"0|[1-9][0-9]{0,17}", text) is not None


class Checkpointer:
    """Saves and restores training states in one folder.

    Every process of a run calls every method; process 0 alone writes, moves and
    deletes. A save is complete on disk when `save` returns.

    Args:
      folder: the folder of the checkpoints, `<workdir>/checkpoints`.
      best: `(key, "min" | "max")`, the metric that chooses the best checkpoint, which
        is kept beside the last two; None: there is no best.
      writable: False to only read, as an evaluation beside a running training does.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        best: tuple[str, str] | None = None,
        writable: bool = True,
    ):
        # Orbax refuses relative paths.
        self.folder = pathlib.Path(folder).absolute()
        self.best = best
        self.notes: list[str] = []
        self._reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        # Orbax must not wait for processes that do not write.
        alone = ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="process_0"
        )
        self._writer = ocp.Checkpointer(
            ocp.CompositeCheckpointHandler(
                composite_options=ocp.CompositeOptions(multiprocessing_options=alone)
            ),
            multiprocessing_options=alone,
        )
        if writable:
            meshes.on_primary(self._tidy)

    def steps(self) -> list[int]:
        """Lists the steps that have a folder, in increasing order."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(path.name) for path in self.folder.iterdir() if is_step(path.name)
        )

    def best_value(self) -> float | None:
        """Returns the best value of the metric among the checkpoints, if there is one."""
        step = self._best_step()
        return None if step is None else self._value(step)

    def is_better(self, metrics: dict[str, float]) -> bool:
        """Returns whether an evaluation beats every checkpoint that is kept."""
        value = self._metric(metrics)
        if value is None:
            return False
        # Manifests are written by process 0 without a barrier, so it alone decides.
        old = meshes.on_primary(self.best_value)
        return old is None or self._sign() * (value - old) > 0

    def save(
        self,
        state: TrainState,
        extra: dict[str, Any] | None = None,
        metrics: dict[str, float] | None = None,
    ) -> pathlib.Path:
        """Writes a checkpoint, then deletes those that are no longer wanted.

        Args:
          state: the state; its `step` names the folder.
          extra: what JSON can hold and `restore_latest` returns.
          metrics: the flat summary of an evaluation at this very step.

        Returns:
          The folder of the checkpoint.

        Raises:
          UserError: it could not be written (a full disk); older ones are intact.
          jax.errors.JaxRuntimeError: another process of the run is gone.
        """
        step = int(state.step)
        path, saving = self.folder / str(step), self.folder / f"{step}.saving"

        def write() -> None:
            # Every device holds all of it, and Orbax takes what others hold too for
            # shared work: it gets host arrays.
            whole = jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), state)
            items = {
                "model": {
                    "step": whole.step,
                    "params": whole.params,
                    "state": whole.state,
                },
                # With the step, since a tree without arrays cannot be stored.
                "optimizer": {"step": whole.step, "opt_state": whole.opt_state},
            }
            wanted = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
            self.folder.mkdir(parents=True, exist_ok=True)
            with orbax_noise.quiet():
                try:
                    self._writer.save(
                        saving, args=ocp.args.Composite(**wanted), force=True
                    )
                except Exception:
                    orbax_noise.settle()
                    raise
                self._check_readable(saving, items)
            manifests.write(saving, items, extra or {}, metrics or {})
            folders.put(saving, path, aside=self.folder / f"{step}.replaced")
            self._tidy()
            self._prune()

        def try_to_write() -> None:
            try:
                with signals.saving():
                    write()
            except (OSError, ValueError, RuntimeError) as error:
                with contextlib.suppress(OSError):
                    self._tidy()
                raise UserError(self._failure(step, error)) from error

        meshes.on_primary(try_to_write)
        return path

    def restore_latest(self, abstract: TrainState) -> tuple[TrainState, dict] | None:
        """Restores the newest checkpoint that is whole.

        Damaged ones that are newer are renamed to `<step>.damaged`, and `notes` gets
        one line about each.

        Args:
          abstract: shapes, types and shardings, from `state.abstract`.

        Returns:
          `(state, extra)`, or None if there is no checkpoint.

        Raises:
          UserError: there are checkpoints, but none of them is whole; or it does not
            fit the model.
        """
        newest = meshes.on_primary(self._newest)
        self.notes += newest["notes"]
        if newest["step"] is None:
            return None
        return self.restore(newest["step"], abstract)

    def restore(
        self, which: str | int, abstract: TrainState
    ) -> tuple[TrainState, dict[str, Any]]:
        """Restores a whole training state.

        Args:
          which: "last", "best" (the last if nothing was evaluated) or a step.
          abstract: shapes, types and shardings, from `state.abstract`.

        Returns:
          `(state, extra)`.

        Raises:
          UserError: there is no such checkpoint, it is damaged, or does not fit.
        """
        step, extra = self._choose(which)
        model, optimizer = self._read(
            step,
            model={
                "step": abstract.step,
                "params": abstract.params,
                "state": abstract.state,
            },
            optimizer={"step": abstract.step, "opt_state": abstract.opt_state},
        )
        state = TrainState(
            model["step"], model["params"], model["state"], optimizer["opt_state"]
        )
        return state, extra

    def restore_model(
        self, which: str | int, params: Any, state: Any
    ) -> tuple[int, Any, Any]:
        """Restores the model alone, without the optimizer.

        Args:
          which: "last", "best" (the last if nothing was evaluated) or a step.
          params: the parameters' shapes, types and shardings.
          state: the same of the other state.

        Returns:
          `(step, params, state)`.

        Raises:
          UserError: there is no such checkpoint, it is damaged, or does not fit.
        """
        step, _ = self._choose(which)
        leaf = jax.tree.leaves(params)[0]
        number = jax.ShapeDtypeStruct((), "int32", sharding=leaf.sharding)
        (model,) = self._read(
            step, model={"step": number, "params": params, "state": state}
        )
        return step, model["params"], model["state"]

    def _check_readable(self, path: pathlib.Path, items: dict[str, Any]) -> None:
        """Opens what was just written as a reader would, in process 0 alone."""
        wanted = {k: ocp.args.StandardRestore(tree) for k, tree in items.items()}
        restored = self._writer.restore(path, args=ocp.args.Composite(**wanted))
        for name, tree in items.items():
            same = jax.tree.map(_same_bits, tree, restored[name])
            if not all(jax.tree.leaves(same)):
                raise ValueError("it does not read back as it was written")

    # What follows looks at folders and manifests.

    def _sign(self) -> int:
        return 1 if self.best and self.best[1] == "max" else -1

    def _metric(self, metrics: dict[str, float]) -> float | None:
        value = metrics.get(self.best[0]) if self.best else None
        return None if value is None or math.isnan(value) else value

    def _value(self, step: int) -> float | None:
        try:
            return self._metric(manifests.read(self.folder / str(step))["metrics"])
        except UserError:
            return None

    def _best_step(self) -> int | None:
        values = {step: self._value(step) for step in self.steps()}
        known = {step: value for step, value in values.items() if value is not None}
        return max(known, key=lambda s: self._sign() * known[s], default=None)

    def _whole(self, step: int) -> bool:
        return manifests.is_whole(self.folder / str(step))

    def _newest(self) -> dict[str, Any]:
        notes: list[str] = []
        damaged: list[int] = []
        for step in reversed(self.steps()):
            if self._whole(step):
                for bad in damaged:
                    notes.append(
                        f"the checkpoint of step {bad} is damaged (now {bad}.damaged); "
                        f"using the one of step {step}"
                    )
                    folders.move(self.folder / str(bad), self.folder / f"{bad}.damaged")
                return {"step": step, "notes": notes}
            damaged.append(step)
        if damaged:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged (steps "
                f"{', '.join(map(str, sorted(damaged)))}); delete that folder to "
                "start again"
            )
        return {"step": None, "notes": []}

    def _choose(self, which: str | int) -> tuple[int, dict[str, Any]]:
        def choose() -> tuple[int, dict[str, Any]]:
            known = self.steps()
            if not known:
                raise UserError(f"{self.folder} has no checkpoint yet")
            step = self._best_step() if which == "best" else which
            if step is None or which == "last":
                step = next((s for s in reversed(known) if self._whole(s)), known[-1])
            if not is_step(str(step)) or int(step) not in known:
                raise UserError(
                    f"{self.folder} has no checkpoint {which!r}; there are best, last, "
                    f"{', '.join(map(str, known))}"
                )
            step = int(step)
            if not self._whole(step):
                raise UserError(
                    f"the checkpoint of step {step} in {self.folder} is damaged; "
                    f"there are {', '.join(map(str, known))}"
                )
            return step, manifests.read(self.folder / str(step))["extra"]

        return tuple(meshes.on_primary(choose))

    def _read(self, step: int, **items: Any) -> list[Any]:
        path = self.folder / str(step)
        wanted = {k: ocp.args.StandardRestore(item) for k, item in items.items()}
        # Orbax would report it too, but in a hundred lines.
        problem = manifests.misfit(path, items)
        try:
            if not problem:
                with orbax_noise.quiet():
                    restored = self._reader.restore(
                        path, args=ocp.args.Composite(**wanted)
                    )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            if meshes.is_lost_peer(error):
                raise
            problem = _reason(error)
        if problem:
            raise UserError(
                f"the checkpoint of step {step} in {self.folder} does not fit this "
                f"model: {problem}"
            )
        return [restored[name] for name in items]

    def _prune(self) -> None:
        known = self.steps()
        keep = {*known[-KEEP:], self._best_step()}
        for step in known:
            if step not in keep:
                # Renamed first, so that a kill leaves no half-deleted checkpoint.
                target = self.folder / f"{step}.deleted"
                folders.move(self.folder / str(step), target)
                folders.remove(target)

    def _tidy(self) -> None:
        manifests.tidy(self.folder)

    def _failure(self, step: int, error: Exception) -> str:
        good = [other for other in self.steps() if other != step and self._whole(other)]
        kept = f"the one of step {good[-1]} is intact" if good else "there is no other"
        return (
            f"cannot write the checkpoint of step {step} to {self.folder}: "
            f"{_reason(error)}; {kept}"
        )


@orbax_noise.root_logger_kept()
def load(
    workdir: str | os.PathLike, task: Task, which: str | int = "last"
) -> tuple[int, Any, Any]:
    """Reads a trained model's arrays from a workdir, onto the first local device.

    Args:
      workdir: the folder of the run.
      task: the task of its config; it has the shapes.
      which: "last", "best" (the last if nothing was evaluated) or a step.

    Returns:
      `(step, params, state)`, for `functional.merge(task.graphdef, params, state)`.

    Raises:
      UserError: there is no such checkpoint, it is damaged, or does not fit.
    """
    folder = pathlib.Path(workdir) / "checkpoints"
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    reader = Checkpointer(folder, task.best, writable=False)
    return reader.restore_model(which, *states.abstract_model(task, sharding))


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return (a.shape, a.dtype) == (b.shape, b.dtype) and a.tobytes() == b.tobytes()


def _reason(error: Exception) -> str:
    """Returns the one line of an error of Orbax that says what went wrong."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]

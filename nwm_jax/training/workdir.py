"""The folder of a run: its lock, its config, and whether a run may go on in it."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from nwm_jax import files, folders
from nwm_jax.errors import UserError, reason
from nwm_jax.training import mesh as meshes
from nwm_jax.training.fields import flatten, preset_changed

CONFIG = "config.json"
LOCK = ".lock"
# Brackets, backslashes, and folders such as "gs:" that look like the scheme of a URL.
_UNREADABLE = re.compile(r"\[.*\]|\\|(?<=/)[^/]+:(?=/|$)", re.DOTALL)
PACKAGES = ("nwm_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

# What may change when a run goes on: none of it touches what a step computes. The
# protocol's name follows the other fields.
FREE = {
    "preset",
    "protocol",
    "num_steps",
    "log_every",
    "checkpoint_every",
    "data.path",
    "data.cache_dir",
    "workdir",
    "tensorboard",
    "wandb",
}
FREE_GROUPS = ("eval.",)
# What the config of every version has held. A config without them was emptied: it would
# agree with any other, for fields that are missing came with a later version.
_ALWAYS = ("name", "task", "seed", "batch_size", "optimizer", "data", "model")


def check_path(workdir: str | os.PathLike) -> None:
    r"""Refuses a path at which checkpoints could be written, but never be read again.

    Orbax's storage takes `[...]` for a pattern and `\` for a separator.

    Raises:
      UserError: the absolute path holds one of these, or is not UTF-8; or it is empty.
    """
    if not os.fspath(workdir):
        raise UserError("--workdir is empty: name a folder")
    path = pathlib.Path(workdir).absolute().as_posix()
    problem = _UNREADABLE.search(path)
    if problem:
        raise UserError(
            f"checkpoints cannot be stored below {path}, since it holds "
            f"{problem[0]}: take a --workdir without it"
        )
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"checkpoints cannot be stored below {path}, which is not UTF-8: take "
            "another --workdir"
        ) from None


@contextlib.contextmanager
def locked(workdir: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Makes the folder if it is missing and keeps every other run out of it.

    The lock is the kernel's: it ends with the process, however that ends.

    Args:
      workdir: the folder of the run.

    Yields:
      The folder.

    Raises:
      UserError: another run holds the folder, it cannot be written, or no checkpoint
        could be read again from its path.
    """
    check_path(workdir)
    workdir = pathlib.Path(workdir)
    with contextlib.ExitStack() as held:

        def take() -> None:
            try:
                workdir.mkdir(parents=True, exist_ok=True)
                held.enter_context(folders.locked(workdir / LOCK, wait=False))
            except folders.BusyError:
                raise UserError(
                    f"another run is training in {workdir}; wait for it, stop it, or "
                    "take another --workdir"
                ) from None
            except OSError as error:
                raise UserError(
                    f"cannot write to the workdir {workdir}: {reason(error)}"
                ) from None

        meshes.on_primary(take)
        yield workdir


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a config as what JSON holds: tuples are lists, references are resolved."""
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return json.loads(json.dumps(plain))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names the fields that must not change when a run goes on, and have.

    Args:
      old: the config that the run started with, nested.
      new: the config of the command that is to go on.

    Returns:
      One `field: old -> new` for each, empty if the run may go on.
    """
    before, after = flatten(old), flatten(new)
    changes = []
    # A field that the old config does not have came with a later version of this
    # package, whose default does what was done before: it is taken as unchanged.
    for field in sorted(before):
        free = field in FREE or field.startswith(FREE_GROUPS)
        was, now = (side.get(field, "(none)") for side in (before, after))
        if not free and was != now:
            changes.append(f"{field}: {was} -> {now}")
    return changes


def claim(workdir: str | os.PathLike, config: Any) -> list[str]:
    """Writes `config.json`, or checks it against the one that is there.

    A config without a saved step, such as one that was refused when its data was made,
    binds nobody: it is replaced.

    Its `versions` and `command_line` are those of the start; every later command adds
    its own to the list `resumed`. The fields that may change are the latest ones.

    Args:
      workdir: the folder of the run, locked.
      config: the resolved config.

    Returns:
      Lines worth telling, such as that a package has another version than before.

    Raises:
      UserError: the folder holds a run with another config; the fields are named.
    """

    def write() -> list[str]:
        path = pathlib.Path(workdir) / CONFIG
        command = shlex.join([pathlib.Path(sys.executable).name, *sys.orig_argv[1:]])
        now: dict[str, Any] = {"versions": package_versions(), "command_line": command}
        new, content, notes = to_dict(config), dict(now), []
        if path.exists():
            old = _read(path, new)
            preset = preset_changed(old["config"], new)
            changed = differences(old["config"], new)
            if changed and _has_steps(path.parent):
                raise UserError(
                    f"{workdir} holds a run with another config ({'; '.join(changed)});"
                    f" take another --workdir or the old values{preset and '; '}{preset}"
                )
            if changed:
                old_and_new = "; ".join(changed)
                notes = [
                    f"note: replaced the config of a run without a step ({old_and_new})"
                ]
            else:
                content = {name: old.get(name, now[name]) for name in now}
                content["resumed"] = [*old.get("resumed", []), now]
                notes = _version_notes(content["versions"], now["versions"])
                notes += [f"note: {preset}"] if preset else []
        files.write_json(path, {"config": new, **content})
        return notes

    return meshes.on_primary(write)


@contextlib.contextmanager
def config_stays_if_refused(workdir: pathlib.Path) -> Iterator[None]:
    """Puts the `config.json` of before back where a command is refused after `claim`."""
    path = workdir / CONFIG
    before = path.read_bytes() if meshes.is_primary() and path.is_file() else None
    try:
        yield
    except UserError:
        if before is not None and path.read_bytes() != before:
            files.write_atomic(path, before)
        raise


def _has_steps(workdir: pathlib.Path) -> bool:
    """Returns whether anything in a workdir depends on its config."""
    saved = (workdir / "checkpoints").glob("[0-9]*")
    return any(saved) or (workdir / "eval.json").exists()


def _read(path: pathlib.Path, new: Mapping[str, Any]) -> dict[str, Any]:
    """Reads config.json, in which every field may be damaged."""
    wrong = f"{path} does not hold the config of a run; take another --workdir"
    old = files.check_fields(files.read_json(path), {"config": dict}, wrong)
    always = {field: type(new[field]) for field in _ALWAYS if field in new}
    files.check_fields(old["config"], always, wrong)
    if emptied := [f for f in always if new[f] and old["config"][f] in ("", {})]:
        raise UserError(f"{wrong} ({emptied[0]} is empty)")
    kinds = {"versions": dict, "command_line": str, "resumed": list}
    present = {field: kind for field, kind in kinds.items() if field in old}
    return files.check_fields(old, present, wrong)


def package_versions() -> dict[str, str]:
    """Returns the versions of Python, of the packages that decide numbers, and of us."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _version_notes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    changed = [
        f"{name} {old[name]} -> {new[name]}"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    if not changed:
        return []
    return [f"note: not the versions it started with ({', '.join(changed)})"]

"""Folders of runs, by pattern and by the kind of their task."""

import contextlib
import glob
import os
import pathlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.config import presets
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError, reason

Entry = TypeVar("Entry")


def find(patterns: Sequence[str]) -> list[pathlib.Path]:
    """Returns the folders that patterns match, in the order of their names.

    Args:
      patterns: as a shell has them, such as "runs/*"; "**" stands for any folders.
    """
    paths = {
        path for pattern in patterns for path in glob.glob(pattern, recursive=True)
    }
    return sorted(pathlib.Path(path) for path in paths if os.path.isdir(path))


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the config of a workdir as it is stored.

    Raises:
      UserError: it is not a workdir, or its config.json is damaged.
    """
    if not (folder / "config.json").exists():
        raise UserError("not a workdir (it has no config.json)")
    stored = files.read_json(folder / "config.json")
    wrong = "its config.json is not that of a run"
    return files.check_fields(stored, {"config": dict}, wrong)["config"]


def resolve(stored: Mapping[str, Any], wrong: str) -> ConfigDict:
    """Returns the config of a run that was stored as JSON, with its fields checked.

    Args:
      stored: the config, nested.
      wrong: how the message begins, such as "run/config.json is not that of a run".

    Raises:
      UserError: it is not a config, or one whose cell, model or dataset is unknown.
    """
    # What has no task is no experiment.
    files.check_fields(stored, {"task": str}, wrong)
    try:
        with understood(wrong):
            return validate(presets.from_dict(stored))
    except UserError as error:
        if not str(error).startswith("unknown "):
            raise
        raise UserError(
            f"{error} (if a config file of yours defines it, pass that: --config=FILE, "
            "or nwm_jax.load(..., config=FILE))"
        ) from None


def scores(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the evaluation of a workdir as it is stored.

    Raises:
      UserError: it has not been evaluated, or its eval.json is damaged.
    """
    if not (folder / "eval.json").exists():
        raise UserError("not evaluated (it has no eval.json)")
    stored = files.read_json(folder / "eval.json")
    return files.check_fields(stored, {}, "its eval.json is not that of a run")


def untrained(config: Mapping[str, Any]) -> bool:
    """Returns whether a run's preset only shows that everything runs."""
    return str(config.get("protocol", "")).startswith("smoke")


def task(folder: pathlib.Path) -> str:
    """Returns the name of the task of a workdir; empty if it is not one."""
    try:
        return str(read(folder).get("task", ""))
    except (UserError, OSError):
        return ""


def nothing(notes: Sequence[str] = (), patterns: Sequence[str] = ()) -> UserError:
    """Returns the error that no folder holds an evaluated run.

    Args:
      notes: what was wrong with each of them.
      patterns: what should have matched, where nothing did.
    """
    where = f" in {' '.join(patterns)}" if patterns else ""
    why = f" ({'; '.join(notes)})" if notes else ""
    return UserError(
        f"no evaluated run{where}{why}: give the folders of python -m nwm_jax.train, "
        "such as --runs='runs/*'"
    )


@contextlib.contextmanager
def understood(
    wrong: str = "its config.json or eval.json is not that of a run",
) -> Iterator[None]:
    """Raises in one line where a field of config.json or eval.json is not a run's.

    Args:
      wrong: how the message begins.

    Raises:
      UserError: instead of what reading such a field raises.
    """
    try:
        yield
    except UserError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
    ) as error:
        raise UserError(f"{wrong} ({reason(error)})") from None


def collect(
    folders: Iterable[pathlib.Path],
    read: Callable[[pathlib.Path], Entry],
    same: Callable[[Entry], Hashable],
) -> tuple[list[Entry], list[str]]:
    """Reads runs, each only once.

    Args:
      folders: workdirs.
      read: reads one of them; what it cannot read is left out.
      same: what two runs have in common if one of them is superfluous.

    Returns:
      The runs, in the order of their folders; and one line for each that is left out.
    """
    entries: list[Entry] = []
    notes: list[str] = []
    first: dict[Hashable, pathlib.Path] = {}
    for folder in folders:
        try:
            entry = read(folder)
        except (UserError, OSError) as error:  # OSError: a folder that is locked
            notes.append(f"skipped {folder}: {error}")
            continue
        other = first.setdefault(same(entry), folder)
        if other == folder:
            entries.append(entry)
        else:
            notes.append(f"skipped {folder}: the same as {other}, seed and all")
    return entries, notes

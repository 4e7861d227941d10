"""Datasets by the names that configs call them: the suite's, and a user's own."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from nwm_jax.data import Source, open_source, suite
from nwm_jax.errors import UserError

#: Rows of the paper's table.
TABLE = ("spring", "pendulum", "two_body", "pennies", "double_pendulum")


class Own(NamedTuple):
    """A dataset that was registered by its user, see `own.register_dataset`."""

    dt: float
    read: Callable[..., Source]


#: Datasets that were registered by their users, by name.
OWN: dict[str, Own] = {}


def short_name(dataset: str) -> str:
    """Returns the configs' name of a dataset: "spring" for the suite's "mass_spring"."""
    return re.sub("^mass_|^matching_", "", dataset)


#: Names of datasets: the table's, then all others of the suite.
DATASETS: tuple[str, ...] = tuple(
    dict.fromkeys([*TABLE, *map(short_name, suite.DATASETS), *suite.DATASETS])
)


def names() -> tuple[str, ...]:
    """Returns the names that `data.name` may have without a `data.path`."""
    return (*DATASETS, *OWN)


def dt(dataset: str) -> float:
    """Returns the time between two frames of a dataset.

    Raises:
      UserError: unknown dataset.
    """
    return OWN[dataset].dt if dataset in OWN else suite.get(dataset).dt


def read(data: Any, progress: Callable[[int, int], None] | None = None) -> Source:
    """Opens the data that a config names.

    Args:
      data: a config's `data`.
      progress: called as progress(done, total), in trajectories, while simulating.

    Raises:
      UserError: see `nwm_jax.data.open_source`.
    """
    fields = data.to_dict()
    if data.path or data.name not in OWN:
        return open_source(**fields, progress=progress)
    name = fields.pop("name")
    del fields["path"]
    source = OWN[name].read(**fields)
    for method in ("size", "read", "decode"):
        if not hasattr(source, method):
            raise UserError(
                f"the source of data.name={name}, {type(source).__name__}, has no method "
                f"{method}: give it those of nwm_jax.data.Source (windows is now read; "
                "images and states are now decode)"
            )
    return source

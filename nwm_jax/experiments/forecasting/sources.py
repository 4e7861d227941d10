"""Opens the data of a forecasting config: a named dataset, files, or a user's own."""

from collections.abc import Callable
from typing import Any

from nwm_jax.data import Source, open_source

#: What opens the datasets that were registered by their users, by name.
OWN: dict[str, Callable[..., Source]] = {}


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
    return OWN[name](**fields)

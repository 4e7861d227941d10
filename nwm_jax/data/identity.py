"""Which dataset a folder or a file really holds, whatever a config calls it."""

import os
import pathlib

from nwm_jax.data import features, suite
from nwm_jax.data.folder import expand, read_manifest
from nwm_jax.data.specs import BoxSpec, GameSpec, Particles, Spec
from nwm_jax.errors import UserError


def name_of(path: str | os.PathLike) -> str:
    """Names the data at a path.

    A generated folder is what its `generate.json` says. Another folder is the dataset
    of the suite whose name it bears, if its `features.txt` has the arrays of that
    dataset: `toy_physics/pendulum`. Everything else is named by its own place.

    Args:
      path: a folder of records, or a file of frames.

    Returns:
      A name of `suite.DATASETS`, or the last two parts of the path, "clips/mine".
    """
    place = expand(path)
    name = _generated(place) or _published(place)
    return name or own_name(path)


def own_name(path: str | os.PathLike) -> str:
    """Names unknown data by the last two parts of its path."""
    return str(pathlib.Path(*pathlib.Path(path).parts[-2:]))


def _generated(folder: pathlib.Path) -> str:
    try:
        name = read_manifest(folder).get("dataset")
    except (UserError, OSError):
        return ""
    return name if isinstance(name, str) and name in suite.DATASETS else ""


def _published(folder: pathlib.Path) -> str:
    spec = suite.DATASETS.get(folder.resolve().name)
    if spec is None:
        return ""
    try:
        result = features.features(folder)
    except UserError:
        return ""
    x = result.get("x")
    width = x.shape[-1] if x and x.shape else 0
    others = {name for name in result if name.startswith("other/")}
    return spec.name if (width, others) == _arrays(spec) else ""


def _arrays(spec: Spec) -> tuple[int, set[str]]:
    """Length of a state, and names of the constants of a dataset's records."""
    if isinstance(spec, Particles):
        names = ("color_index", "offset", *spec.ranges)
        return _STATE_LENGTHS[spec.system], {f"other/{name}" for name in names}
    if isinstance(spec, GameSpec):
        return 2 * spec.game.num_actions, set()
    assert isinstance(spec, BoxSpec)
    return 4 * spec.box.num_particles, set()


_STATE_LENGTHS = {"mass_spring": 2, "pendulum": 2, "double_pendulum": 4, "two_body": 8}

"""Trained weights that come with the package: their cards, and how one is opened.

A card is a JSON file in `nwm_jax/weights`; the weights, as float16, stand beside it as
`.safetensors`. Nothing is downloaded.
"""

import dataclasses
import hashlib
import os
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.errors import UserError, unknown
from nwm_jax.runs import workdirs
from nwm_jax.training import state as states
from nwm_jax.training.task import Task

FOLDER = pathlib.Path(__file__).parents[1] / "weights"
PREFIX = "pretrained:"
# At most so many bytes are read: a file here has some megabytes.
_LARGEST = 2**26
_FIELDS = {
    "name": str,
    "data": str,
    "licence": str,
    "commit": str,
    "sha256": str,
    "config": dict,
    "scores": dict,
}


@dataclasses.dataclass(frozen=True)
class Card:
    """What weights are, where they come from and what they score.

    Attributes:
      name: config and preset, such as "spring_nwm1d:laptop".
      data: what the model was trained on, and what it was scored on.
      licence: of the weights.
      commit: of this repository that trained them.
      sha256: of the file.
      config: the resolved config of the run, as JSON holds it.
      scores: what eval.json holds for the weights of the file, rounded to float16.
      path: the file.
    """

    name: str
    data: str
    licence: str
    commit: str
    sha256: str
    config: dict[str, Any] = dataclasses.field(repr=False)
    scores: dict[str, Any] = dataclasses.field(repr=False)
    path: pathlib.Path = dataclasses.field(repr=False)

    @property
    def protocol(self) -> str:
        """The protocol of the training."""
        return self.scores["protocol"]

    @property
    def step(self) -> int:
        """The number of updates that the weights have had."""
        return self.scores["step"]

    @property
    def relative_mse(self) -> dict[str, float]:
        """Relative MSE of "forecast", "mean_image" and "last_frame"."""
        return self.scores["relative_mse"]


def pretrained() -> dict[str, Card]:
    """Returns the cards of the weights that come with the package, by name.

    `nwm_jax.load(name)` opens one.
    """
    cards = (_read_card(path) for path in sorted(FOLDER.glob("*.json")))
    return {card.name: card for card in cards}


def find(path: str | os.PathLike) -> Card | None:
    """Returns the card that a path names; None where it is to be a workdir.

    Args:
      path: "pretrained:NAME", or NAME unless there is such a path.

    Raises:
      UserError: "pretrained:" with a name that there is not.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        return None
    prefixed = text.startswith(PREFIX)
    if not prefixed and os.path.lexists(text):
        return None
    cards, name = pretrained(), text.removeprefix(PREFIX)
    if prefixed and name not in cards:
        raise unknown("pretrained model", name, cards)
    return cards.get(name)


def read_config(card: Card) -> ConfigDict:
    """Returns the config that the weights were trained with."""
    return workdirs.resolve(card.config, f"the card of {card.path} has no config")


def read(card: Card, task: Task) -> tuple[Any, Any]:
    """Reads weights.

    Args:
      card: says which.
      task: the task of its config.

    Returns:
      The parameters and the other state of the task's model, in the model's types.

    Raises:
      UserError: the file is not the one of the card, or does not fit the model.
    """
    import safetensors.numpy  # used by few, and not by those who train

    data = files.read_bytes(card.path, _LARGEST)
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise UserError(
            f"{card.path} is not the file that its card describes (another SHA-256): "
            "install the package again"
        )
    arrays = safetensors.numpy.load(data)
    place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = states.abstract_model(task, place)
    wanted = names(shapes)
    if {k: a.shape for k, a in arrays.items()} != {
        k: a.shape for k, a in wanted.items()
    }:
        raise UserError(
            f"{card.path} does not fit the model of {card.name} in this version of "
            "nwm_jax: install the version that it came with"
        )
    return jax.tree_util.tree_map_with_path(
        lambda keys, leaf: np.asarray(arrays[_name(keys)], leaf.dtype), shapes
    )


def names(trees: tuple[Any, Any]) -> dict[str, Any]:
    """Returns the leaves of parameters and other state by name.

    Args:
      trees: `(params, state)`, nested dictionaries.

    Returns:
      ``{"decoder/convs/0/kernel": ..., ...}``.
    """
    leaves = jax.tree_util.tree_flatten_with_path(trees)[0]
    return {_name(keys): leaf for keys, leaf in leaves}


def _name(keys: tuple[Any, ...]) -> str:
    return "/".join(str(key.key) for key in keys[1:])


def _read_card(path: pathlib.Path) -> Card:
    fields = files.check_fields(
        files.read_json(path), _FIELDS, f"{path} is not a card of weights"
    )
    kept = {name: fields[name] for name in _FIELDS}
    return Card(path=path.with_suffix(".safetensors"), **kept)

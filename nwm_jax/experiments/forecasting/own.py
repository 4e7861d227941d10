"""Models and datasets of a user as members of the forecasting experiment.

Called by a config file that is passed as ``--config``; `examples/` has one of each.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from nwm_jax.config.fields import Field
from nwm_jax.data import Source
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import budgets, configs, datasets
from nwm_jax.models import forecasting

_BUILT_IN = dict(configs.MODELS)


def register_model(
    name: str,
    fields: Mapping[str, Any],
    build: forecasting.Builder,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Adds a model: it gets configs with all datasets, a name and a place in the table.

    Args:
      name: what configs call it.
      fields: the fields of `config.model` and their values in the preset "paper"; at
        least `num_observed` and `num_target`, the observed frames and the frames of a
        training clip. Fields that models of the package have mean the same here. Those
        of `config.fields.field` bring a meaning and limits of their own.
      build: ``(settings, image_shape, *, conv, remat, rngs) -> models.ForecastModel``;
        `models.forecasting.from_cell` makes it of a recurrent cell.
      presets: for each further preset the dotted fields in which it differs from
        "paper"; not given: "laptop" and "smoke" with the usual lengths of training.

    Raises:
      UserError: the name is one of the package's models, or a field is missing.
    """
    if name in _BUILT_IN:
        raise UserError(f"{name!r} is a model of nwm_jax already: take another name")
    for field in ("num_observed", "num_target"):
        if field not in fields:
            raise UserError(f"the model {name!r} needs the field {field!r}")
    configs.MODELS[name] = _group(fields)
    forecasting.BUILDERS[name] = build
    if presets is not None:
        budgets.BY_MODEL[name] = {key: dict(value) for key, value in presets.items()}


def _group(fields: Mapping[str, Any]) -> configs.Model:
    """Returns a group of fields with the meanings that they have in the package."""
    known: dict[str, Field] = {}
    for model in _BUILT_IN.values():
        known = model.meanings() | known
    parts = []
    for name, value in fields.items():
        if not isinstance(value, dataclasses.Field):
            metadata = {"field": known.get(name, Field())}
            value = dataclasses.field(default=value, metadata=metadata)
        parts.append((name, type(value.default), value))
    return dataclasses.make_dataclass(
        "OwnModel", parts, bases=(configs.Model,), frozen=True
    )()


def register_dataset(name: str, dt: float, read: Callable[..., Source]) -> None:
    """Adds a dataset: it gets configs with all models.

    Args:
      name: what configs call it.
      dt: time between two frames.
      read: ``(*, cache_dir, num_train, num_valid, num_test, num_frames, dt, seed) ->
        nwm_jax.data.Source``; the fields of `config.data`.

    Raises:
      UserError: the name is one of the package's datasets.
    """
    if name in datasets.DATASETS:
        raise UserError(f"{name!r} is a dataset of nwm_jax already: take another name")
    datasets.OWN[name] = datasets.Own(dt, read)

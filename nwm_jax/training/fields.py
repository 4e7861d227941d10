"""The fields of a config by their dotted names."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Lists every field of a config by its dotted name, in the order of definition."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, (ConfigDict, dict)):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

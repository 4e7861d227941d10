"""The fields of a config by their dotted names."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Lists every field of a config by its dotted name, in the order of definition."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, (ConfigDict, dict)):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def preset_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Returns one line if two configs of the same preset name other protocols; else ""."""
    preset = old.get("preset")
    was, now = (str(c.get("protocol", "")).partition(" + ")[0] for c in (old, new))
    if preset != new.get("preset") or not was or was == now:
        return ""
    return (
        f"the preset {preset} has changed since this run began: its protocol was {was} "
        f"and is {now} now"
    )

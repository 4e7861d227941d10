"""How a config is read: names, presets, overrides, checks."""

"""Sequences that return to their start, and gratings: the data of topographic maps."""

"""Flax NNX cells and layers on top of `core`."""

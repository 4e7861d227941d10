"""Remembering long sequences: copying, adding, images read piece by piece."""

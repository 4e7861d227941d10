"""The mathematics: pure functions on arrays and NamedTuples. Imports jax and numpy.

Shapes are written with these letters: B batch, T time, H height, W width, C channels,
N units of a field without space, F features of an input vector.
"""

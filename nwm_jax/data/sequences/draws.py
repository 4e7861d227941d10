"""Random numbers of the sequence tasks: one generator for each purpose and step."""

import numpy as np

# Streams of random numbers: never renumber, or every seeded run changes.
COPY, COPY_EVAL, ADDING, ADDING_EVAL, SPLIT, NOISE, TEST = range(100, 107)
GRATING, GRATING_EVAL, STATIC, STATIC_EVAL = range(120, 124)


def generator(seed: int, *stream: int) -> np.random.Generator:
    """The generator of a stream: the same on every machine, NumPy and JAX."""
    # PCG64 by name, not `default_rng`: NumPy may change what the default is.
    return np.random.Generator(np.random.PCG64([int(seed) % 2**64, *map(int, stream)]))

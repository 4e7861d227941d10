"""Fields of oscillators for the tests, and their couplings written as loops."""

import jax
import numpy as np

from nwm_jax.core import oscillator
from nwm_jax.core.oscillator import OscillatorHParams, OscillatorParams, OscillatorState
from tests.helpers import numerics


def couple_by_loops(
    topology: str, field: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The same sum in NumPy, one cell, one neighbour and one channel at a time."""
    if topology == "dense":
        out = np.zeros((*field.shape[:-1], weights.shape[1]))
        for m in range(weights.shape[0]):
            for n in range(weights.shape[1]):
                out[..., n] += field[..., m] * weights[m, n]
        return out
    kernel = weights if topology == "torus" else weights[None]
    rows, columns, inputs, outputs = kernel.shape
    height, width = field.shape[-3:-1]
    out = np.zeros((*field.shape[:-1], outputs))
    for i in range(height):
        for j in range(width):
            for a in range(rows):
                for b in range(columns):
                    row = (i + a - rows // 2) % height
                    column = (j + b - columns // 2) % width
                    for c in range(inputs):
                        for d in range(outputs):
                            out[..., i, j, d] += (
                                field[..., row, column, c] * kernel[a, b, c, d]
                            )
    return out


def make(
    topology: str, size: tuple[int, ...], seed: int = 0, **options: object
) -> tuple[OscillatorHParams, OscillatorParams]:
    """A field with arbitrary weights, a bias included."""
    hparams = OscillatorHParams(topology, size, **options)
    shapes = jax.eval_shape(
        lambda: oscillator.init_params(jax.random.key(0), hparams)
    )._asdict()
    weights = {
        name: None if shape is None else numerics.fill(shape.shape, seed + i)
        for i, (name, shape) in enumerate(shapes.items())
    }
    start = {"dt": -1.95, "gamma": 1.5, "alpha": 0.25}
    for name in hparams.learned:
        weights[name] = np.float32(start[name])
    return hparams, OscillatorParams(**weights)


def random_state(
    hparams: OscillatorHParams, batch: int = 2, seed: int = 0
) -> OscillatorState:
    rng = np.random.default_rng(seed)
    shape = (batch, *hparams.field_shape)
    return OscillatorState(*rng.standard_normal((2, *shape)).astype(np.float32))

"""Prints the table of docs/results/speed.md: the ways to compute all states of a field.

Run it alone, on one core: taskset -c 0 python docs/results/linear_scan.py
"""

import time

import jax
import jax.numpy as jnp

from nwm_jax.core import linear_scan, linear_wave

METHODS = ("sequential", "chunked", "associative")
RING, TORUS = ("ring", (1, 16)), ("torus", (8, 8))
# Topology, size, channels, batch, times.
CASES = (
    (*RING, 1, 1, 5_000),
    (*RING, 4, 1, 5_000),
    (*RING, 16, 1, 5_000),
    (*RING, 16, 4, 2_000),
    (*TORUS, 8, 8, 1_000),
)


def milliseconds(hparams, batch, times, method):
    """Loss and gradient of one call, the best of four."""
    params = linear_wave.init_params(jax.random.key(0), hparams)
    inputs = jax.random.normal(jax.random.key(1), (batch, times, 2))
    start = linear_wave.initial_state(hparams, batch)

    @jax.jit
    @jax.value_and_grad
    def run(params):
        _, states = linear_scan.scan(hparams, params, start, inputs, method=method)
        return (states.x**2).sum() + (states.v**2).sum()

    jax.block_until_ready(run(params))
    best = float("inf")
    for _ in range(4):
        begin = time.perf_counter()
        jax.block_until_ready(run(params))
        best = min(best, time.perf_counter() - begin)
    return 1e3 * best


def main():
    print("| modes of a batch | T | " + " | ".join(METHODS) + " |")
    print("|---|---|" + "---|" * len(METHODS))
    for topology, size, channels, batch, times in CASES:
        hparams = linear_wave.LinearWaveHParams(topology, size, channels, 2)
        modes = batch * jnp.zeros(hparams.mode_shape).size
        cells = [f"{milliseconds(hparams, batch, times, m):.3g}" for m in METHODS]
        print(f"| {modes:,} | {times:,} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Measures what it costs to save a checkpoint, and of that to read it back.

    python -m tests.tools.measure_saving [CONFIG]

CONFIG is "pendulum_nwm2d", the paper's model, if it is not given.
"""

import pathlib
import statistics
import sys
import tempfile
import time

import jax

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax.config import presets
from nwm_jax.training import checkpoint, optimizer, registry
from nwm_jax.training import mesh as meshes
from nwm_jax.training import state as states

REPEATS = 10


def main():
    """Prints medians over the saves after the first."""
    config = presets.load(sys.argv[1] if len(sys.argv) > 1 else "pendulum_nwm2d")
    task = registry.build(config)
    transform = optimizer.build(config.optimizer, config.num_steps)
    state = states.create(task, transform, 0, meshes.make_mesh(jax.devices()[:1]))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves((state.params, state.opt_state)))
    print(f"{count:,} parameters, {size / 1e6:.0f} MB with the optimizer's averages")
    saves, reads = [], []
    with tempfile.TemporaryDirectory() as folder:
        saver = checkpoint.Checkpointer(pathlib.Path(folder, "checkpoints"), task.best)
        check = saver._check_readable

        def timed(*arguments):
            began = time.perf_counter()
            check(*arguments)
            reads.append(time.perf_counter() - began)

        saver._check_readable = timed
        for _ in range(REPEATS + 1):
            state = state._replace(step=state.step + 1)
            began = time.perf_counter()
            saver.save(state, {}, {})
            saves.append(time.perf_counter() - began)
    for name, seconds in (("save", saves), ("of that, reading back", reads)):
        later = seconds[1:]
        print(
            f"{name}: {statistics.median(later):.2f} s, from {min(later):.2f} to "
            f"{max(later):.2f}"
        )


if __name__ == "__main__":
    main()

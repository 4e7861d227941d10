"""A tiny regression task, and a program that trains it, so that tests can kill it.

python -m tests.helpers.toy_task WORKDIR [field=value ...] [--delay=SECONDS]
"""

import itertools
import sys
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx

from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.shell import progress
from nwm_jax.training import loop, mesh, signals
from nwm_jax.training.task import Task

SIZES = (5, 16, 3)


class Net(nnx.Module):
    """Two layers, in a list so that integer keys occur in the tree."""

    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List(
            [nnx.Linear(n, m, rngs=rngs) for n, m in itertools.pairwise(SIZES)]
        )
        self.calls = nnx.Variable(jnp.float32(0))

    def __call__(self, x):
        return self.layers[1](jnp.tanh(self.layers[0](x)))


def _examples(seed, rows):
    """One generator per row, so that any subset of the rows is the same."""
    x = np.stack([np.random.default_rng((*seed, r)).normal(size=5) for r in rows])
    return {"x": x.astype(np.float32), "y": np.sin(x[:, :3]).astype(np.float32)}


class Toy(Task):
    best = ("error/mean", "min")
    units_per_example = 4
    num_eval = 10

    def __init__(self, seed=0, delay=0.0, bad_step=None, noise=0.1):
        self.seed, self.delay, self.bad_step = seed, delay, bad_step
        self.noise = noise

    def init(self, key):
        return Net(nnx.Rngs(key))

    def batch(self, step, rows):
        time.sleep(self.delay)
        batch = _examples((self.seed, step), rows)
        if step == self.bad_step:
            batch["x"][0] = np.inf
        return batch

    def loss(self, params, state, batch, key):
        net = functional.merge(self.graphdef, params, state)
        noise = self.noise * jax.random.normal(key, batch["x"].shape)
        loss = jnp.mean((net(batch["x"] + noise) - batch["y"]) ** 2)
        return loss, ({"rmse": jnp.sqrt(loss)}, {"calls": state["calls"] + 1})

    def eval_batch(self, indices):
        return _examples((self.seed, 10**6), indices)

    def score(self, model, batch):
        error = (model(batch["x"]) - batch["y"]) ** 2
        return {"error": jnp.mean(error, axis=-1), "x": batch["x"]}

    def summarise(self, scores):
        error = scores["error"]
        return {"error": {"mean": error.mean(), "each": error.tolist()}, "num": 3}


def get_config(**changes):
    config = ml_collections.ConfigDict(
        {
            "name": "toy",
            "seed": 0,
            "batch_size": 8,
            "num_steps": 60,
            "steps_per_dispatch": 5,
            "log_every": 10,
            "checkpoint_every": 20,
            "optimizer": {
                "name": "adam",
                "learning_rate": 1e-2,
                "schedule": "cosine",
                "warmup_steps": 5,
                "clip": 1.0,
                "weight_decay": 0.0,
            },
            "data": {"path": "", "cache_dir": ""},
            "model": {"grid": (5, 5)},
            "eval": {"every": 0, "batch_size": 4},
            "tensorboard": False,
            "wandb": "",
        }
    )
    config.update_from_flattened_dict(changes)
    return config


def main(arguments):
    mesh.initialize_distributed()
    workdir, *rest = arguments
    options = dict(item.lstrip("-").split("=") for item in rest)
    delay = float(options.pop("delay", 0.0))
    config = get_config(**{k: int(v) for k, v in options.items()})
    try:
        result = loop.train(
            config, Toy(config.seed, delay), workdir, display=progress.Progress
        )
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if result.finished and mesh.is_primary():
        leaves = jax.tree.leaves(result.state)
        np.savez(f"{workdir}/final.npz", *[np.asarray(leaf) for leaf in leaves])
    return 0


if __name__ == "__main__":
    signals.listen()
    sys.exit(main(sys.argv[1:]))

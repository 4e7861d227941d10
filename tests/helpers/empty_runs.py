"""A run without a checkpoint, whose task draws nothing."""

import pathlib
import types

from flax import nnx

from nwm_jax.config import presets
from nwm_jax.runs import opened


def run(folder: pathlib.Path) -> opened.Run:
    """The run, at step 4, with its workdir in `folder`."""
    task = types.SimpleNamespace(
        num_eval=2,
        eval_batch_size=2,
        curve="mse",
        dataset="pendulum",
        figures=lambda model, folder: [],
        threshold=lambda scored: 0.025 if "vpt" in scored else None,
    )
    task.evaluations = lambda metrics: {"mse": task}
    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    model.num_observed = 2
    return opened.Run(folder, presets.load("pendulum_nwm2d:smoke"), task, model, 4)

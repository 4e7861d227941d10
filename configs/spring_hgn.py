"""Hamiltonian Generative Network (HGN++) that forecasts the spring.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, table 1, row Spring.
The paper's number is 1.58 x 1e-8 (`forward_extrapolation_l2_norm`, one seed).
Plain (`paper`): 500,000 steps at batch 32, kinetic and potential energy each a network
of 250 units, 32 latent numbers, trained forward and backward in time, 882,561
parameters; about 1.3 TFLOP a step, so this is a job for accelerators.
Presets: `:laptop` (a smaller network, made for two CPU cores), `:smoke` (half a minute:
it shows that everything runs, not that it learns), `:fair` and `:fair_laptop` (the same
frames and parameter counts for all models).
The result of `:laptop` has not been measured for this pair; what has been measured
stands in docs/results/README.md.

    python -m nwm_jax.train --config=configs/spring_hgn.py:laptop --workdir=runs/spring_hgn
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "batch_size": 8,
        "num_steps": 4_000,
        "optimizer.clip": 0.1,
        "optimizer.learning_rate": 0.002,
        "optimizer.schedule": "cosine",
        "optimizer.warmup_steps": 40,
        "data.num_test": 2_000,
        "data.num_train": 20_000,
        "model.conv_channels": 8,
        "model.units": 100,
        "checkpoint_every": 500,
    },
    "smoke": {
        "batch_size": 4,
        "num_steps": 20,
        "optimizer.clip": 0.1,
        "optimizer.learning_rate": 0.002,
        "optimizer.schedule": "cosine",
        "optimizer.warmup_steps": 2,
        "data.num_frames": 64,
        "data.num_test": 32,
        "data.num_train": 64,
        "model.conv_channels": 4,
        "model.latent": 8,
        "model.num_target": 12,
        "model.units": 16,
        "eval.batch_size": 8,
        "eval.horizon": 12,
        "eval.num_mean_windows": 64,
        "eval.num_vpt": 8,
        "eval.num_windows": 8,
        "checkpoint_every": 10,
        "log_every": 10,
    },
    "fair": {
        "model.num_observed": 31,
        "model.num_target": 29,
        "model.units": 568,
    },
    "fair_laptop": {
        "batch_size": 8,
        "num_steps": 4_000,
        "optimizer.clip": 0.1,
        "optimizer.learning_rate": 0.002,
        "optimizer.schedule": "cosine",
        "optimizer.warmup_steps": 40,
        "data.num_test": 2_000,
        "data.num_train": 20_000,
        "model.conv_channels": 8,
        "model.num_observed": 31,
        "model.num_target": 29,
        "model.units": 403,
        "checkpoint_every": 500,
    },
}


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = ConfigDict(
        {
            "name": "spring_hgn",
            "task": "forecasting",
            "preset": "paper",
            "protocol": "paper",
            "seed": 0,
            "batch_size": 32,
            "num_steps": 500_000,
            "optimizer": {
                "name": "adam",
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # of the schedule "step", a part of the run
                "drop_factor": 0.1,
                "learning_rate": 0.00015,
                "momentum": 0.0,
                "schedule": "constant",
                "warmup_steps": 0,  # the learning rate rises linearly
                "weight_decay": 0.0,
            },
            "data": {
                "name": "spring",
                "seed": 0,
                "cache_dir": "",  # empty: ~/.cache/nwm_jax
                "dt": 0.05,
                "num_frames": 256,
                "num_test": 20_000,
                "num_train": 50_000,
                "path": "",  # your own clips or a published folder; empty: simulated
            },
            "model": {
                "name": "hgn",
                "beta": 0.1,
                "conv_channels": 64,
                "dt": 0.125,
                "integrator": "leapfrog",
                "latent": 32,
                "layers": 5,
                "num_observed": 5,  # frames that are seen
                "num_target": 60,  # frames of a training clip
                "split": "include_inference",
                "training": "forward_backward",
                "units": 250,
            },
            "eval": {
                "batch_size": 16,
                "every": 0,  # steps; 0: only before the first and after the last
                "horizon": 60,  # frames that are scored
                "num_mean_windows": 1_024,
                "num_vpt": 250,
                "num_windows": 512,
            },
            "checkpoint_every": 5_000,
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps, as all intervals
            "remat": 0,  # time steps between two kept states; 0: all are kept
            "steps_per_dispatch": 0,  # 0: the backend chooses
            "tensorboard": False,
            "wandb": "",  # name of a project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS)

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
        "protocol": "laptop-v2",
        "batch_size": 8,
        "num_steps": 4_000,
        "optimizer.clip": 0.1,
        "optimizer.learning_rate": 0.004,
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
        "data.num_valid": 32,
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
        "protocol": "fair_laptop-v2",
        "batch_size": 8,
        "num_steps": 4_000,
        "optimizer.clip": 0.1,
        "optimizer.learning_rate": 0.004,
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
    "night": {
        "batch_size": 8,
        "num_steps": 40_000,
        "optimizer.clip": 0.1,
        "optimizer.learning_rate": 0.004,
        "optimizer.schedule": "cosine",
        "optimizer.warmup_steps": 40,
        "data.num_test": 2_000,
        "data.num_train": 20_000,
        "model.conv_channels": 8,
        "model.units": 100,
        "eval.every": 1_000,
        "checkpoint_every": 1_000,
        "log_every": 500,
    },
}


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = ConfigDict(
        {
            "name": "spring_hgn",  # name of the config
            "task": "forecasting",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 0,  # of weights and batches
            "batch_size": 32,  # examples of a step, on all devices together
            "num_steps": 500_000,  # length of the run
            "optimizer": {
                "name": "adam",  # the optimizer
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # part of the run, of the schedule step
                "drop_factor": 0.1,  # of the learning rate, schedule step
                "learning_rate": 0.00015,  # the largest learning rate
                "momentum": 0.0,  # of sgd
                "schedule": "constant",  # of the learning rate
                "warmup_steps": 0,  # in which the learning rate rises
                "weight_decay": 0.0,  # decoupled in adamw, else L2
            },
            "data": {
                "name": "spring",  # the dataset
                "seed": 0,  # of the data
                "cache_dir": "",  # where made data is kept; empty: ~/.cache/nwm_jax
                "dt": 0.05,  # time between two frames
                "num_frames": 256,  # frames of a trajectory
                "num_test": 20_000,  # trajectories to test on
                "num_train": 50_000,  # trajectories to train on
                "num_valid": 512,  # trajectories that training is followed on; of files at most a tenth
                "path": "",  # files of your own; empty: made or downloaded
            },
            "model": {
                "name": "hgn",  # the model
                "beta": 0.1,  # weight of the divergence from the prior
                "conv_channels": 64,  # channels of the image networks
                "dt": 0.125,  # time between two frames for the model
                "integrator": "leapfrog",  # of the equation of motion
                "latent": 32,  # length of the latent state
                "layers": 5,  # number of layers
                "num_observed": 5,  # frames that the model sees
                "num_target": 60,  # frames of a training clip, or after those
                "split": "include_inference",  # where the observed frames lie
                "training": "forward_backward",  # directions of time
                "units": 250,  # width of the hidden layers
            },
            "eval": {
                "batch_size": 16,  # examples at a time
                "every": 0,  # steps between evaluations; 0: before the first one
                "horizon": 60,  # frames that are scored
                "num_mean_windows": 1_024,  # training windows of the mean image
                "num_vpt": 250,  # trajectories for valid prediction times
                "num_windows": 512,  # test windows
            },
            "checkpoint_every": 5_000,  # steps between two checkpoints
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps between two rows of metrics.jsonl
            "remat": 0,  # time steps between kept states; 0: all; -1: least memory
            "steps_per_dispatch": 0,  # steps in one call; 0: the backend chooses
            "tensorboard": False,  # write TensorBoard files
            "wandb": "",  # name of a W&B project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS)

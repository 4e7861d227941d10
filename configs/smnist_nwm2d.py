"""Neural Wave Machine (NWM 2D) that reads digits, pixels row by row.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, table 2, sequential
MNIST: 98.6 % correct.
Plain (`paper`): 57,000 steps (120 epochs) at batch 120, 16 sheets of 16 x 16
oscillators, 53,802 parameters (49,664 weights); the learning rate drops to a tenth
after every 100 epochs. MNIST is downloaded once, unless `data.path=...` names a folder
with its IDX files.
Presets: `:laptop` (images of 14 x 14, a smaller network, 10 epochs), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/smnist_nwm2d.py:laptop --workdir=runs/smnist_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "num_steps": 4_460,
        "data.num_valid": 1_000,
        "data.pool": 2,
        "model.channels": 8,
        "model.grid": (8, 8),
        "eval.every": 446,
    },
    "smoke": {
        "batch_size": 16,
        "num_steps": 20,
        "data.name": "digits",
        "data.num_test": 50,
        "data.num_valid": 50,
        "model.channels": 2,
        "model.grid": (4, 4),
        "eval.batch_size": 50,
        "eval.every": 10,
        "checkpoint_every": 10,
        "log_every": 10,
    },
}
# What an argument may say for short.
SHORT = {"T": "data.T", "layout": "data.layout"}


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = ConfigDict(
        {
            "name": "smnist_nwm2d",
            "task": "classification",
            "preset": "paper",
            "protocol": "paper",
            "seed": 0,
            "batch_size": 120,
            "num_steps": 57_000,
            "optimizer": {
                "name": "adam",
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 0.8333333333333334,  # of the schedule "step", a part of the run
                "drop_factor": 0.1,
                "learning_rate": 0.0021,
                "momentum": 0.0,
                "schedule": "step",
                "warmup_steps": 0,  # the learning rate rises linearly
                "weight_decay": 0.0,
            },
            "data": {
                "name": "mnist",
                "seed": 0,
                "cache_dir": "",  # empty: ~/.cache/nwm_jax
                "length": 0,
                "num_test": 0,
                "num_train": 0,
                "num_valid": 3_000,
                "path": "",  # your own clips or a published folder; empty: simulated
                "permute": False,
                "pool": 1,
            },
            "model": {
                "name": "nwm2d",
                "alpha": 4.7,
                "channels": 16,
                "dt": 0.042,
                "gamma": 2.7,
                "grid": (16, 16),
                "readout_hidden": 0,
            },
            "eval": {
                "batch_size": 500,
                "every": 500,  # steps; 0: only before the first and after the last
            },
            "checkpoint_every": 500,
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps, as all intervals
            "remat": 0,  # time steps between two kept states; 0: all are kept
            "steps_per_dispatch": 0,  # 0: the backend chooses
            "tensorboard": False,
            "wandb": "",  # name of a project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS, SHORT)

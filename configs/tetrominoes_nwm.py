"""Neural Wave Machine, a sheet of oscillators that segments tetrominoes.

Reproduces: arXiv:2502.06034, foreground accuracy 0.987 ± 0.004 with `readout=linear`,
0.983 with `fft`, 0.942 ± 0.058 with `last`.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 64 x 64, 176,124
parameters; `readout=` last, mean_time, max_time, fft or linear.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/tetrominoes_nwm.py:laptop --workdir=runs/tetrominoes_nwm
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "batch_size": 32,
        "num_steps": 2_000,
        "data.cell": 3,
        "data.num_test": 500,
        "data.num_train": 4_000,
        "data.num_valid": 300,
        "data.side": 32,
        "model.num_steps": 50,
        "model.units": 64,
        "eval.batch_size": 100,
        "eval.every": 125,
        "checkpoint_every": 250,
    },
    "smoke": {
        "batch_size": 8,
        "num_steps": 20,
        "data.cell": 3,
        "data.num_test": 20,
        "data.num_train": 20,
        "data.num_valid": 20,
        "data.side": 32,
        "model.num_steps": 10,
        "model.units": 16,
        "eval.batch_size": 10,
        "eval.every": 10,
        "checkpoint_every": 10,
        "log_every": 10,
    },
}
# What an argument may say for short.
SHORT = {
    "readout": "model.readout",
    "depth": "model.depth",
    "width": "model.width",
    "T": "model.num_steps",
}


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = ConfigDict(
        {
            "name": "tetrominoes_nwm",
            "task": "segmentation",
            "preset": "paper",
            "protocol": "paper",
            "seed": 0,
            "batch_size": 64,
            "num_steps": 46_800,
            "optimizer": {
                "name": "adam",
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # of the schedule "step", a part of the run
                "drop_factor": 0.1,
                "learning_rate": 0.001,
                "momentum": 0.0,
                "schedule": "constant",
                "warmup_steps": 0,  # the learning rate rises linearly
                "weight_decay": 0.0,
            },
            "data": {
                "name": "tetrominoes",
                "seed": 42,
                "cache_dir": "",  # empty: ~/.cache/nwm_jax
                "cell": 7,
                "num_test": 1_000,
                "num_train": 10_000,
                "num_valid": 1_000,
                "side": 64,
            },
            "model": {
                "name": "nwm",
                "num_steps": 100,
                "channels": 2,
                "dt": 0.1,
                "hidden_layers": 3,
                "readout": "linear",
                "units": 256,
                "width": 16,
            },
            "eval": {
                "batch_size": 50,
                "every": 156,  # steps; 0: only before the first and after the last
            },
            "checkpoint_every": 156,
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps, as all intervals
            "remat": 20,  # time steps between two kept states; 0: all are kept
            "steps_per_dispatch": 0,  # 0: the backend chooses
            "tensorboard": False,
            "wandb": "",  # name of a project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS, SHORT)

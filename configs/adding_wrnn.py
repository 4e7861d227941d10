"""Wave RNN that adds the two marked numbers of T.

Reproduces: Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past
and Enhance Sequence Learning", ICLR 2024 (arXiv:2309.08045), table 1: solved after 300
steps for T = 100, 1,000 for 400.
Plain (`paper`): 60,000 steps at batch 128, 27 rings of 100 units, 13,015 parameters
(10,287 weights). The paper's best learning rate and clip are not known; these are ours.
`T=400` sets the length. Solved is a mean squared error of the 1,000 test sequences
below 0.05.
Presets: `:laptop` (6 rings, at most 20,000 steps, ends when solved), `:smoke` (some
seconds: it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/adding_wrnn.py:laptop,T=100 --workdir=runs/adding_wrnn
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "num_steps": 20_000,
        "model.channels": 6,
        "stop_when_solved": True,
    },
    "smoke": {
        "batch_size": 16,
        "num_steps": 20,
        "data.T": 10,
        "model.channels": 2,
        "model.units": 16,
        "eval.batch_size": 50,
        "eval.every": 10,
        "eval.num_examples": 50,
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
            "name": "adding_wrnn",
            "task": "adding",
            "preset": "paper",
            "protocol": "paper",
            "seed": 0,
            "batch_size": 128,
            "num_steps": 60_000,
            "optimizer": {
                "name": "adam",
                "clip": 1.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # of the schedule "step", a part of the run
                "drop_factor": 0.1,
                "learning_rate": 0.001,
                "momentum": 0.0,
                "schedule": "constant",
                "warmup_steps": 0,  # the learning rate rises linearly
                "weight_decay": 0.0,
            },
            "data": {
                "name": "adding",
                "seed": 0,
                "T": 100,
            },
            "model": {
                "name": "wrnn",
                "activation": "relu",
                "channels": 27,
                "coupling_init": "shift",
                "frozen": (),
                "input_init": "single",
                "kernel_size": 3,
                "local": False,
                "readout_hidden": 0,
                "speed": 1.0,
                "units": 100,
                "zero_coupling_bias": False,
            },
            "eval": {
                "batch_size": 250,
                "every": 100,  # steps; 0: only before the first and after the last
                "num_examples": 1_000,
            },
            "checkpoint_every": 1_000,
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps, as all intervals
            "remat": 0,  # time steps between two kept states; 0: all are kept
            "steps_per_dispatch": 0,  # 0: the backend chooses
            "stop_when_solved": False,
            "tensorboard": False,
            "wandb": "",  # name of a project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS, SHORT)

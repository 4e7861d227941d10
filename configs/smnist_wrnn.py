"""Wave RNN that reads digits, pixels row by row.

Reproduces: Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past
and Enhance Sequence Learning", ICLR 2024 (arXiv:2309.08045), table 2, sequential MNIST:
97.6 % correct.
Plain (`paper`): 53,520 steps (120 epochs) at batch 128, 16 rings of 256 units, 49,946
parameters (45,824 weights); the learning rate drops to a tenth after every 100 epochs.
MNIST is downloaded once, unless `data.path=...` names a folder with its IDX files. The
paper's best learning rate and clip are not known; these are ours.
Presets: `:laptop` (images of 14 x 14, a smaller network, 10 epochs), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/smnist_wrnn.py:laptop --workdir=runs/smnist_wrnn
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "num_steps": 4_460,
        "optimizer.clip": 1.0,
        "optimizer.learning_rate": 0.001,
        "data.num_valid": 1_000,
        "data.pool": 2,
        "model.channels": 8,
        "model.units": 64,
        "eval.every": 446,
    },
    "smoke": {
        "batch_size": 16,
        "num_steps": 20,
        "data.name": "digits",
        "data.num_test": 50,
        "data.num_valid": 50,
        "model.channels": 2,
        "model.units": 16,
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
            "name": "smnist_wrnn",
            "task": "classification",
            "preset": "paper",
            "protocol": "paper",
            "seed": 0,
            "batch_size": 128,
            "num_steps": 53_520,
            "optimizer": {
                "name": "adam",
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 0.8333333333333334,  # of the schedule "step", a part of the run
                "drop_factor": 0.1,
                "learning_rate": 0.0001,
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
                "name": "wrnn",
                "activation": "relu",
                "channels": 16,
                "coupling_init": "shift",
                "frozen": (),
                "input_init": "single",
                "kernel_size": 3,
                "local": False,
                "readout_hidden": 0,
                "speed": 1.0,
                "units": 256,
                "zero_coupling_bias": False,
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

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
            "name": "smnist_nwm2d",  # name of the config
            "task": "classification",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 0,  # of weights and batches
            "batch_size": 120,  # examples of a step, on all devices together
            "num_steps": 57_000,  # length of the run
            "optimizer": {
                "name": "adam",  # the optimizer
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 0.8333333333333334,  # part of the run, of the schedule step
                "drop_factor": 0.1,  # of the learning rate, schedule step
                "learning_rate": 0.0021,  # the largest learning rate
                "momentum": 0.0,  # of sgd
                "schedule": "step",  # of the learning rate
                "warmup_steps": 0,  # in which the learning rate rises
                "weight_decay": 0.0,  # decoupled in adamw, else L2
            },
            "data": {
                "name": "mnist",  # the dataset
                "seed": 0,  # of the data
                "cache_dir": "",  # where made data is kept; empty: ~/.cache/nwm_jax
                "length": 0,  # steps, the rest is noise; 0: those of an image
                "num_test": 0,  # images to test on; 0: all
                "num_train": 0,  # images to train on; 0: all others
                "num_valid": 3_000,  # images to choose a checkpoint by
                "path": "",  # files of your own; empty: made or downloaded
                "permute": False,  # pixels in the order of psMNIST
                "pool": 1,  # images are shrunk by this factor
            },
            "model": {
                "name": "nwm2d",  # the model
                "alpha": 4.7,  # damping (the coRNN papers' epsilon)
                "channels": 16,  # channels, or oscillators at every place
                "dt": 0.042,  # length of a time step
                "gamma": 2.7,  # stiffness
                "grid": (16, 16),  # oscillators, (height, width) or (rings, ring)
                "readout_hidden": 0,  # units of the readout's hidden layer
            },
            "eval": {
                "batch_size": 500,  # examples at a time
                "every": 500,  # steps between evaluations; 0: before the first one
            },
            "checkpoint_every": 500,  # steps between two checkpoints
            "conv": "auto",  # implementation of the coupling
            "log_every": 100,  # steps between two rows of metrics.jsonl
            "remat": 0,  # time steps between kept states; 0: all; -1: least memory
            "steps_per_dispatch": 0,  # steps in one call; 0: the backend chooses
            "tensorboard": False,  # write TensorBoard files
            "wandb": "",  # name of a W&B project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS, SHORT)

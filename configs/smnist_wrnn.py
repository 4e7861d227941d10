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
            "name": "smnist_wrnn",  # name of the config
            "task": "classification",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 0,  # of weights and batches
            "batch_size": 128,  # examples of a step, on all devices together
            "num_steps": 53_520,  # length of the run
            "optimizer": {
                "name": "adam",  # the optimizer
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 0.8333333333333334,  # part of the run, of the schedule step
                "drop_factor": 0.1,  # of the learning rate, schedule step
                "learning_rate": 0.0001,  # the largest learning rate
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
                "name": "wrnn",  # the model
                "activation": "relu",  # of hidden units
                "channels": 16,  # channels, or oscillators at every place
                "coupling_init": "shift",  # first recurrence
                "frozen": (),  # weights that are not trained
                "input_init": "single",  # first input weights
                "kernel_size": 3,  # odd width of the coupling
                "local": False,  # a kernel for every place
                "readout_hidden": 0,  # units of the readout's hidden layer
                "speed": 1.0,  # places that a wave moves in a step at first
                "units": 256,  # hidden units, or places of a ring
                "zero_coupling_bias": False,  # whether the coupling's bias starts at 0
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

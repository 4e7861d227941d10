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
            "name": "adding_wrnn",  # name of the config
            "task": "adding",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 0,  # of weights and batches
            "batch_size": 128,  # examples of a step, on all devices together
            "num_steps": 60_000,  # length of the run
            "optimizer": {
                "name": "adam",  # the optimizer
                "clip": 1.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # part of the run, of the schedule step
                "drop_factor": 0.1,  # of the learning rate, schedule step
                "learning_rate": 0.001,  # the largest learning rate
                "momentum": 0.0,  # of sgd
                "schedule": "constant",  # of the learning rate
                "warmup_steps": 0,  # in which the learning rate rises
                "weight_decay": 0.0,  # decoupled in adamw, else L2
            },
            "data": {
                "name": "adding",  # the dataset
                "seed": 0,  # of the data
                "T": 100,  # length of the sequence, or of its silence
            },
            "model": {
                "name": "wrnn",  # the model
                "activation": "relu",  # of hidden units
                "channels": 27,  # channels, or oscillators at every place
                "coupling_init": "shift",  # first recurrence
                "frozen": (),  # weights that are not trained
                "input_init": "single",  # first input weights
                "kernel_size": 3,  # odd width of the coupling
                "local": False,  # a kernel for every place
                "readout_hidden": 0,  # units of the readout's hidden layer
                "speed": 1.0,  # places that a wave moves in a step at first
                "units": 100,  # hidden units, or places of a ring
                "zero_coupling_bias": False,  # whether the coupling's bias starts at 0
            },
            "eval": {
                "batch_size": 250,  # examples at a time
                "every": 100,  # steps between evaluations; 0: before the first one
                "num_examples": 1_000,  # sequences of the evaluation
            },
            "checkpoint_every": 1_000,  # steps between two checkpoints
            "conv": "auto",  # implementation of the coupling
            "log_every": 100,  # steps between two rows of metrics.jsonl
            "remat": 0,  # time steps between kept states; 0: all; -1: least memory
            "steps_per_dispatch": 0,  # steps in one call; 0: the backend chooses
            "stop_when_solved": False,  # end training when the task is solved
            "tensorboard": False,  # write TensorBoard files
            "wandb": "",  # name of a W&B project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS, SHORT)

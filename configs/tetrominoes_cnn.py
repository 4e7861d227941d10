"""Convolutional network without recurrence that segments tetrominoes.

Reproduces: arXiv:2502.06034, foreground accuracy 0.237, 0.309, 0.736, 0.398 and 0.325
with `depth=2`, 4, 8, 16 and 32; 16 of 50 runs answered background everywhere.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 64 x 64, 173,422
parameters; `depth=2` to 32: the receptive field is 2 depth + 1 pixels wide.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/tetrominoes_cnn.py:laptop --workdir=runs/tetrominoes_cnn
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
        "model.depth": 2,
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
            "name": "tetrominoes_cnn",  # name of the config
            "task": "segmentation",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 0,  # of weights and batches
            "batch_size": 64,  # examples of a step, on all devices together
            "num_steps": 46_800,  # length of the run
            "optimizer": {
                "name": "adam",  # the optimizer
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # part of the run, of the schedule step
                "drop_factor": 0.1,  # of the learning rate, schedule step
                "learning_rate": 0.001,  # the largest learning rate
                "momentum": 0.0,  # of sgd
                "schedule": "constant",  # of the learning rate
                "warmup_steps": 0,  # in which the learning rate rises
                "weight_decay": 0.0,  # decoupled in adamw, else L2
            },
            "data": {
                "name": "tetrominoes",  # the dataset
                "seed": 42,  # of the data
                "cache_dir": "",  # where made data is kept; empty: ~/.cache/nwm_jax
                "cell": 7,  # pixels of a square of a tetromino
                "num_test": 1_000,  # images to test on; 0 of MNIST: all
                "num_train": 10_000,  # images to train on; 0 of MNIST: all
                "num_valid": 1_000,  # images to choose a checkpoint by
                "side": 64,  # pixels of the canvas along each axis
            },
            "model": {
                "name": "cnn",  # the model
                "channels": 2,  # channels of the hidden state
                "depth": 8,  # convolutions
                "features": 98,  # of a pixel, that the perceptron sees
                "he": False,  # He's first weights
                "hidden_layers": 3,  # of the perceptron
                "units": 256,  # width of the perceptron's hidden layers
                "width": 16,  # channels of hidden convolutions
            },
            "eval": {
                "batch_size": 50,  # examples at a time
                "every": 156,  # steps between evaluations; 0: before the first one
            },
            "checkpoint_every": 156,  # steps between two checkpoints
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps between two rows of metrics.jsonl
            "remat": 20,  # time steps between kept states; 0: all; -1: least memory
            "steps_per_dispatch": 0,  # steps in one call; 0: the backend chooses
            "tensorboard": False,  # write TensorBoard files
            "wandb": "",  # name of a W&B project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS, SHORT)

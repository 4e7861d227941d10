"""Neural Wave Machine on rings that learns to predict turning digits.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, section 4.4, figures 5
and 9: a wave that is put into the state turns the decoded digit.
Plain (`paper`): 50 epochs of 6,000 updates at batch 8, SGD with momentum; encoder and
decoder of three layers, 24 rings of 54 oscillators that hear one neighbour each,
76,354,684 parameters. MNIST is downloaded once, unless `data.path=...` names a folder
with its IDX files.
Presets: `:laptop` (linear encoder and decoder, batch 16, Adam, a larger first `dt`),
`:smoke` (scikit-learn's digits and 4 rings of 9, some seconds: it shows that everything
runs, not that it learns).

    python -m nwm_jax.train --config=configs/rotating_mnist_nwm1d.py:laptop --workdir=runs/rotating_mnist_nwm1d
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "batch_size": 16,
        "num_steps": 6_000,
        "optimizer.learning_rate": 0.002,
        "optimizer.momentum": 0.0,
        "optimizer.name": "adam",
        "model.decoder": (),
        "model.dt": 0.35,
        "model.encoder": (),
        "eval.every": 500,
        "eval.num_examples": 1_000,
        "checkpoint_every": 250,
    },
    "smoke": {
        "num_steps": 20,
        "data.name": "rotating_digits",
        "data.num_valid": 300,
        "model.decoder": (16,),
        "model.encoder": (16,),
        "model.grid": (4, 9),
        "eval.batch_size": 8,
        "eval.every": 10,
        "eval.num_examples": 16,
        "eval.num_waves": 2,
        "checkpoint_every": 10,
        "log_every": 10,
    },
}


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = ConfigDict(
        {
            "name": "rotating_mnist_nwm1d",  # name of the config
            "task": "variational",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 1,  # of weights and batches
            "batch_size": 8,  # examples of a step, on all devices together
            "num_steps": 300_000,  # length of the run
            "optimizer": {
                "name": "sgd",  # the optimizer
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # part of the run, of the schedule step
                "drop_factor": 0.1,  # of the learning rate, schedule step
                "learning_rate": 0.00025,  # the largest learning rate
                "momentum": 0.9,  # of sgd
                "schedule": "constant",  # of the learning rate
                "warmup_steps": 0,  # in which the learning rate rises
                "weight_decay": 0.0,  # decoupled in adamw, else L2
            },
            "data": {
                "name": "rotating_mnist",  # the dataset
                "seed": 1,  # of the data
                "cache_dir": "",  # where made data is kept; empty: ~/.cache/nwm_jax
                "num_frames": 18,  # frames of a training sequence, whole periods
                "num_valid": 12_000,  # images that are left out
                "path": "",  # files of your own; empty: made or downloaded
            },
            "model": {
                "name": "nwm1d",  # the model
                "decoder": (2592, 3888),  # widths of the decoder's hidden layers
                "dt": 0.12455335818741645,  # length of a time step, between 0 and 1
                "encoder": (7776, 5184),  # widths of the encoder's hidden layers
                "grid": (24, 54),  # oscillators, (height, width) or (rings, ring)
                "kernel_fill": 0.0,  # first taps of the forcing; 0: drawn
                "kernel_size": 3,  # odd width of the coupling
                "start": "repeat",  # which frame comes first
                "state_norm": True,  # standardise the state before it is decoded
            },
            "eval": {
                "batch_size": 50,  # examples at a time
                "every": 30_000,  # steps between evaluations; 0: before the first one
                "num_examples": 10_000,  # test sequences
                "num_frames": 72,  # frames of a test sequence, whole periods
                "num_waves": 16,  # of these, whose waves are measured
            },
            "checkpoint_every": 6_000,  # steps between two checkpoints
            "conv": "auto",  # implementation of the coupling
            "log_every": 100,  # steps between two rows of metrics.jsonl
            "remat": 0,  # time steps between kept states; 0: all; -1: least memory
            "steps_per_dispatch": 0,  # steps in one call; 0: the backend chooses
            "tensorboard": False,  # write TensorBoard files
            "wandb": "",  # name of a W&B project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS)

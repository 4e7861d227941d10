"""Neural Wave Machine on a torus that learns to predict moving sine gratings.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, section 4.2, figures 2
and 3 (left): a map of preferred orientations with pinwheels. Measured with `:laptop`: 0.709
of neighbours prefer the same of 8 orientations, 0.198 before training (docs/results/waves).
Plain (`paper`): 18,750 updates at batch 128, SGD with momentum (the paper gives neither
for the gratings: they are those of the digits); a linear encoder, 72 x 72 oscillators, a
linear decoder, 12,209,134 parameters. `data.wavelength` and `model.kernel_size` change
the map.
Presets: `:laptop` (36 x 36 oscillators, 1,000 updates, first kernels of 0.006),
`:smoke` (8 x 8, some seconds: it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/sine_nwm2d.py:laptop --workdir=runs/sine_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {
    "paper": {},
    "laptop": {
        "num_steps": 1_000,
        "model.grid": (36, 36),
        "model.kernel_fill": 0.006,
        "eval.every": 500,
        "checkpoint_every": 250,
    },
    "smoke": {
        "batch_size": 8,
        "num_steps": 20,
        "data.size": 8,
        "model.grid": (8, 8),
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
            "name": "sine_nwm2d",  # name of the config
            "task": "variational",  # what is learned
            "preset": "paper",  # the preset that was chosen
            "protocol": "paper",  # what its numbers are called: the preset and what differs
            "seed": 1,  # of weights and batches
            "batch_size": 128,  # examples of a step, on all devices together
            "num_steps": 18_750,  # length of the run
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
                "name": "sine",  # the dataset
                "seed": 1,  # of the data
                "num_frames": 36,  # frames of a training sequence, whole periods
                "random_phase": False,  # gratings start at any phase
                "size": 28,  # pixels of an image along each axis
                "wavelength": 24.0,  # of the gratings, pixels
            },
            "model": {
                "name": "nwm2d",  # the model
                "decoder": (),  # widths of the decoder's hidden layers
                "dt": 0.12455335818741645,  # length of a time step, between 0 and 1
                "encoder": (),  # widths of the encoder's hidden layers
                "grid": (72, 72),  # oscillators, (height, width) or (rings, ring)
                "kernel_fill": 0.0,  # first taps of the forcing; 0: drawn
                "kernel_size": 3,  # odd width of the coupling
                "start": "repeat",  # which frame comes first
                "state_norm": False,  # standardise the state before it is decoded
            },
            "eval": {
                "batch_size": 50,  # examples at a time
                "every": 1_875,  # steps between evaluations; 0: before the first one
                "num_examples": 1_000,  # test sequences
                "num_frames": 72,  # frames of a test sequence, whole periods
                "num_waves": 16,  # of these, whose waves are measured
            },
            "checkpoint_every": 375,  # steps between two checkpoints
            "conv": "auto",  # implementation of the coupling
            "log_every": 100,  # steps between two rows of metrics.jsonl
            "remat": 0,  # time steps between kept states; 0: all; -1: least memory
            "steps_per_dispatch": 0,  # steps in one call; 0: the backend chooses
            "tensorboard": False,  # write TensorBoard files
            "wandb": "",  # name of a W&B project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS)

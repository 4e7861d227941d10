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
            "name": "rotating_mnist_nwm1d",
            "task": "variational",
            "preset": "paper",
            "protocol": "paper",
            "seed": 1,
            "batch_size": 8,
            "num_steps": 300_000,
            "optimizer": {
                "name": "sgd",
                "clip": 0.0,  # global norm of the gradient; 0: off
                "drop_every": 1.0,  # of the schedule "step", a part of the run
                "drop_factor": 0.1,
                "learning_rate": 0.00025,
                "momentum": 0.9,
                "schedule": "constant",
                "warmup_steps": 0,  # the learning rate rises linearly
                "weight_decay": 0.0,
            },
            "data": {
                "name": "rotating_mnist",
                "seed": 1,
                "cache_dir": "",  # empty: ~/.cache/nwm_jax
                "num_frames": 18,
                "num_valid": 12_000,
                "path": "",  # your own clips or a published folder; empty: simulated
            },
            "model": {
                "name": "nwm1d",
                "decoder": (2592, 3888),
                "dt": 0.12455335818741645,
                "encoder": (7776, 5184),
                "grid": (24, 54),
                "kernel_fill": 0.0,
                "kernel_size": 3,
                "start": "repeat",
                "state_norm": True,
            },
            "eval": {
                "batch_size": 50,
                "every": 30_000,  # steps; 0: only before the first and after the last
                "num_examples": 10_000,
                "num_frames": 72,
                "num_waves": 16,
            },
            "checkpoint_every": 6_000,
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps, as all intervals
            "remat": 0,  # time steps between two kept states; 0: all are kept
            "steps_per_dispatch": 0,  # 0: the backend chooses
            "tensorboard": False,
            "wandb": "",  # name of a project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS)

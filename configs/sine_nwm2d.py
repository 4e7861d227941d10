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
            "name": "sine_nwm2d",
            "task": "variational",
            "preset": "paper",
            "protocol": "paper",
            "seed": 1,
            "batch_size": 128,
            "num_steps": 18_750,
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
                "name": "sine",
                "seed": 1,
                "num_frames": 36,
                "random_phase": False,
                "size": 28,
                "wavelength": 24.0,
            },
            "model": {
                "name": "nwm2d",
                "decoder": (),
                "dt": 0.12455335818741645,
                "encoder": (),
                "grid": (72, 72),
                "kernel_fill": 0.0,
                "kernel_size": 3,
                "start": "repeat",
                "state_norm": False,
            },
            "eval": {
                "batch_size": 50,
                "every": 1_875,  # steps; 0: only before the first and after the last
                "num_examples": 1_000,
                "num_frames": 72,
                "num_waves": 16,
            },
            "checkpoint_every": 375,
            "conv": "auto",  # implementation of the convolutions
            "log_every": 100,  # steps, as all intervals
            "remat": 0,  # time steps between two kept states; 0: all are kept
            "steps_per_dispatch": 0,  # 0: the backend chooses
            "tensorboard": False,
            "wandb": "",  # name of a project; empty: off
        }
    )
    return grammar.apply(config, argument, PRESETS)

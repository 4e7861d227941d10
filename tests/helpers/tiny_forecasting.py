"""A tiny forecasting experiment on clips of your own: compiles in a second or two."""

import pathlib

import numpy as np
from ml_collections import ConfigDict

from nwm_jax.config import presets

SIDE, FRAMES = 8, 14


def write(folder: pathlib.Path, num: int = 10) -> pathlib.Path:
    """Writes movies of a bright bar that moves one row a frame, each from its own."""
    frames = np.zeros((num, FRAMES, SIDE, SIDE, 3), np.uint8)
    for clip in range(num):
        for t in range(FRAMES):
            frames[clip, t, (clip + t) % SIDE] = 50 + 20 * np.arange(3, dtype=np.uint8)
    frames += 5
    path = folder / "frames.npy"
    np.save(path, frames)
    return path


def spec(model: str = "nwm2d") -> str:
    """Names the config, as ``--config`` does; without the data."""
    return (
        f"pendulum_{model}:smoke,model.grid=(3,4),model.conv_channels=2,batch_size=4,"
        "model.num_observed=3,model.num_ic=2,model.num_target=6,eval.horizon=4,"
        "eval.num_windows=5,eval.num_mean_windows=7,eval.batch_size=4,num_steps=4,"
        "checkpoint_every=2,log_every=2,steps_per_dispatch=2,conv=xla"
    )


def config(path: pathlib.Path, model: str = "nwm2d", **overrides: object) -> ConfigDict:
    """The smoke config of a model on such a file, smaller still."""
    config = presets.load(spec(model))
    with config.unlocked():
        config.data.path = str(path)
    config.update_from_flattened_dict(overrides)
    return config

"""The fields that every config has, with the paper's values where it gives them."""

from ml_collections import ConfigDict


def common() -> ConfigDict:
    """Returns the fields that the training loop reads, whatever the task.

    Returns:
      A new, unlocked config. Times are in steps (`num_steps`, `log_every`, ...), the
      gradient's `clip` is a global norm (0: off), `momentum` is of "sgd" alone, `remat`
      the number of time steps between two kept states (0: all are kept; -1: about the
      root of all steps, which needs the least memory), `steps_per_dispatch` 0 lets the
      backend choose, `wandb` the name of a project (empty: off), `eval.every` 0: no
      evaluation while training, but the one before the first step. The schedule "step"
      multiplies the learning rate by `drop_factor` after every `drop_every` of the run,
      a part of it; the others have no use for these two.
    """
    return ConfigDict(
        {
            "name": "",
            "preset": "paper",
            "protocol": "paper",
            "task": "",
            "seed": 0,
            "batch_size": 32,
            "num_steps": 500_000,
            "steps_per_dispatch": 0,
            "log_every": 100,
            "checkpoint_every": 5_000,
            "conv": "auto",
            "remat": 0,
            "optimizer": {
                "name": "adam",
                "learning_rate": 1.5e-4,
                "schedule": "constant",
                "warmup_steps": 0,
                "drop_every": 1.0,
                "drop_factor": 0.1,
                "clip": 0.0,
                "weight_decay": 0.0,
                "momentum": 0.0,
            },
            "tensorboard": False,
            "wandb": "",
        }
    )

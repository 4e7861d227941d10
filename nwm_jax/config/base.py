"""The fields that every config has: their values, what they mean, their ranges."""

from ml_collections import ConfigDict

from nwm_jax.config.checks import Field
from nwm_jax.modules.conv import IMPLEMENTATIONS
from nwm_jax.training.optimizer import OPTIMIZERS, SCHEDULES


def common() -> ConfigDict:
    """Returns the fields that the training loop reads, whatever the task.

    Returns:
      A new, unlocked config with the paper's values where it gives them; `FIELDS` says
      what they mean.
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


#: What the fields mean that every config has or may have.
FIELDS = {
    "name": Field("name of the config"),
    "task": Field("what is learned"),
    "preset": Field("the preset that was chosen"),
    "protocol": Field("what its numbers are called: the preset and what differs"),
    "seed": Field("of weights and batches", least=0),
    "batch_size": Field("examples of a step, on all devices together", least=1),
    "num_steps": Field("length of the run", least=1),
    "steps_per_dispatch": Field("steps in one call; 0: the backend chooses", least=0),
    "log_every": Field("steps between two rows of metrics.jsonl", least=1),
    "checkpoint_every": Field("steps between two checkpoints", least=1),
    "conv": Field("implementation of the convolutions", choices=IMPLEMENTATIONS),
    "remat": Field(
        "time steps between kept states; 0: all; -1: least memory", least=-1
    ),
    "optimizer.name": Field("the optimizer", choices=OPTIMIZERS),
    "optimizer.learning_rate": Field("the largest learning rate", above=0),
    "optimizer.schedule": Field("of the learning rate", choices=SCHEDULES),
    "optimizer.warmup_steps": Field("in which the learning rate rises", least=0),
    "optimizer.drop_every": Field("part of the run, of the schedule step", above=0),
    "optimizer.drop_factor": Field("of the learning rate, schedule step", above=0),
    "optimizer.clip": Field("global norm of the gradient; 0: off", least=0),
    "optimizer.weight_decay": Field("decoupled in adamw, else L2", least=0),
    "optimizer.momentum": Field("of sgd", least=0),
    "tensorboard": Field("write TensorBoard files"),
    "wandb": Field("name of a W&B project; empty: off"),
    "data.name": Field("the dataset"),
    "data.path": Field("files of your own; empty: made or downloaded"),
    "data.cache_dir": Field("where made data is kept; empty: ~/.cache/nwm_jax"),
    "data.seed": Field("of the data", least=0),
    "model.name": Field("the model"),
    "eval.every": Field("steps between evaluations; 0: before the first one", least=0),
    "eval.batch_size": Field("examples at a time", least=1),
}

"""The fields that every config has, and those that many have."""

import dataclasses

from ml_collections import ConfigDict

from nwm_jax.config.fields import Group, field, refuse
from nwm_jax.modules.conv import IMPLEMENTATIONS
from nwm_jax.training.optimizer import OPTIMIZERS, SCHEDULES


@dataclasses.dataclass(frozen=True)
class Optimizer(Group):
    """`config.optimizer`."""

    name: str = field("adam", "the optimizer", choices=OPTIMIZERS)
    learning_rate: float = field(1.5e-4, "the largest learning rate", above=0)
    schedule: str = field("constant", "of the learning rate", choices=SCHEDULES)
    warmup_steps: int = field(0, "in which the learning rate rises", least=0)
    drop_every: float = field(1.0, "part of the run, of the schedule step", above=0)
    drop_factor: float = field(0.1, "of the learning rate, schedule step", above=0)
    clip: float = field(0.0, "global norm of the gradient; 0: off", least=0)
    weight_decay: float = field(0.0, "decoupled in adamw, else L2", least=0)
    momentum: float = field(0.0, "of sgd", least=0)


@dataclasses.dataclass(frozen=True)
class Data(Group):
    """`config.data`."""

    name: str = field("", "the dataset")


@dataclasses.dataclass(frozen=True)
class Seeded(Data):
    """Data that are drawn."""

    seed: int = field(0, "of the data", least=0, bits=32)


@dataclasses.dataclass(frozen=True)
class Cached(Data):
    """Data that are made or downloaded once."""

    cache_dir: str = field("", "where made data is kept; empty: ~/.cache/nwm_jax")


@dataclasses.dataclass(frozen=True)
class Files(Cached):
    """Data that may be read from files."""

    path: str = field("", "files of your own; empty: made or downloaded")


@dataclasses.dataclass(frozen=True)
class Model(Group):
    """`config.model`."""

    name: str = field("", "the model")


@dataclasses.dataclass(frozen=True)
class Eval(Group):
    """`config.eval`."""

    every: int = field(0, "steps between evaluations; 0: before the first one", least=0)
    batch_size: int = field(16, "examples at a time", least=1)


@dataclasses.dataclass(frozen=True)
class Config(Group):
    """All fields of a run, with the paper's values where it has them."""

    name: str = field("", "name of the config")
    task: str = field("", "what is learned")
    preset: str = field("paper", "the preset that was chosen")
    protocol: str = field(
        "paper", "what its numbers are called: the preset and what differs"
    )
    seed: int = field(0, "of weights and batches", least=0, bits=32)
    batch_size: int = field(32, "examples of a step, on all devices together", least=1)
    num_steps: int = field(500_000, "length of the run", least=1)
    steps_per_dispatch: int = field(
        0, "steps in one call; 0: the backend chooses", least=0
    )
    log_every: int = field(100, "steps between two rows of metrics.jsonl", least=1)
    checkpoint_every: int = field(5_000, "steps between two checkpoints", least=1)
    conv: str = field(
        "auto", "implementation of the convolutions", choices=IMPLEMENTATIONS
    )
    remat: int = field(
        0, "time steps between kept states; 0: all; -1: least memory", least=-1
    )
    optimizer: Optimizer = Optimizer()
    tensorboard: bool = field(False, "write TensorBoard files")
    wandb: str = field("", "name of a W&B project; empty: off")
    data: Data = Data()
    model: Model = Model()
    eval: Eval = Eval()

    def check(self) -> None:
        """Refuses a learning rate that rises longer than the run lasts."""
        warmup = self.optimizer.warmup_steps
        if warmup > self.num_steps:
            wanted = f"at most num_steps={self.num_steps}"
            refuse("optimizer.warmup_steps", warmup, wanted)


def to_config(group: Group) -> ConfigDict:
    """Returns a group as a new, unlocked config."""
    return ConfigDict(dataclasses.asdict(group))


def common() -> ConfigDict:
    """Returns the fields that the training loop reads, whatever the task.

    Returns:
      A new, unlocked config without the groups `data`, `model` and `eval`.
    """
    config = to_config(Config())
    del config.data, config.model, config.eval
    return config

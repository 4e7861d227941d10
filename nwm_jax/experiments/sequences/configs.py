"""Experiments of remembering a long sequence: a task, a recurrent network, a budget.

A plain config is that of the papers: the wave RNN and the identity RNN of Keller et al.
(arXiv:2309.08045), the oscillators of Keller & Welling, "Neural Wave Machines" (ICML 2023,
table 2), with the constants of the coRNN (arXiv:2010.00951).
"""

import dataclasses
from dataclasses import replace
from typing import Any

from ml_collections import ConfigDict

from nwm_jax.config import base, grammar
from nwm_jax.config.base import Config, Optimizer
from nwm_jax.config.definition import Definition
from nwm_jax.config.fields import field, grid, odd
from nwm_jax.core import coupling
from nwm_jax.core.equations import ACTIVATIONS
from nwm_jax.core.transition import SCHEMES
from nwm_jax.core.wave import COUPLING_INITS, INPUT_INITS
from nwm_jax.data.sequences.copy_memory import LAYOUTS
from nwm_jax.experiments.linear_waves import LinearOscillators, LinearWaves
from nwm_jax.experiments.sequences import budgets

#: What an argument may say for short.
SHORT = {"T": "data.T", "layout": "data.layout"}


@dataclasses.dataclass(frozen=True)
class Memory(base.Seeded):
    """Sequences that are drawn."""

    T: int = field(30, "length of the sequence, or of its silence", least=0)


@dataclasses.dataclass(frozen=True)
class Copy(Memory):
    """Symbols to repeat after a silence."""

    layout: str = field("paper", "of a sequence to copy", choices=LAYOUTS)


@dataclasses.dataclass(frozen=True)
class Images(base.Files, base.Seeded):
    """Images that are read piece by piece."""

    pool: int = field(1, "images are shrunk by this factor", least=1)
    permute: bool = field(False, "pixels in the order of psMNIST")
    length: int = field(0, "steps, the rest is noise; 0: those of an image", least=0)
    num_train: int = field(0, "images to train on; 0: all others", least=0)
    num_valid: int = field(3_000, "images to choose a checkpoint by", least=0)
    num_test: int = field(0, "images to test on; 0: all", least=0)


@dataclasses.dataclass(frozen=True)
class Recurrent(base.Model):
    """A recurrent network with a readout."""

    readout_hidden: int = field(0, "units of the readout's hidden layer", least=0)


@dataclasses.dataclass(frozen=True)
class IdentityRNN(Recurrent):
    """A ring of hidden units."""

    units: int = field(256, "hidden units, or places of a ring", least=1)
    channels: int = field(1, "channels, or oscillators at every place", least=1)
    activation: str = field("relu", "of hidden units", choices=tuple(ACTIVATIONS))
    coupling_init: str = field("identity", "first recurrence", choices=COUPLING_INITS)
    input_init: str = field("uniform", "first input weights", choices=INPUT_INITS)
    speed: float = field(1.0, "places that a wave moves in a step at first")
    zero_coupling_bias: bool = field(False, "whether the coupling's bias starts at 0")
    frozen: tuple[str, ...] = field((), "weights that are not trained")


@dataclasses.dataclass(frozen=True)
class WaveRNN(IdentityRNN):
    """A ring whose units see their neighbours alone."""

    kernel_size: int = field(3, "odd width of the coupling", least=1, check=odd)
    local: bool = field(False, "a kernel for every place")


@dataclasses.dataclass(frozen=True)
class Oscillators(Recurrent):
    """Oscillators with fixed constants."""

    dt: float = field(0.042, "length of a time step")
    gamma: float = field(2.7, "stiffness")
    alpha: float = field(4.7, "damping (the coRNN papers' epsilon)")


@dataclasses.dataclass(frozen=True)
class CoRNN(Oscillators):
    """Oscillators coupled all with all."""

    units: int = field(256, "hidden units, or places of a ring", least=1)


@dataclasses.dataclass(frozen=True)
class Uncoupled(CoRNN):
    """Oscillators on their own."""

    train_scalars: bool = field(False, "train the two coupling numbers")


@dataclasses.dataclass(frozen=True)
class NWM(Oscillators):
    """Oscillators coupled with their neighbours."""

    grid: tuple[int, int] = field(
        (16, 16), "oscillators, (height, width) or (rings, ring)", check=grid
    )
    channels: int = field(1, "channels, or oscillators at every place", least=1)


_BLOCKS = "linear waves and pointwise networks in turn"


@dataclasses.dataclass(frozen=True)
class LWM(LinearWaves, Recurrent):
    """Blocks of linear oscillators coupled with their neighbours."""

    grid: tuple[int, int] = field(
        (16, 16), "oscillators, (height, width) or (rings, ring)", check=grid
    )
    channels: int = field(16, "channels, or oscillators at every place", least=1)
    kernel_size: int = field(3, "odd width of the coupling", least=1, check=odd)
    blocks: int = field(2, _BLOCKS, least=1, bits=12)


@dataclasses.dataclass(frozen=True)
class LinOSS(LinearOscillators, Recurrent):
    """Blocks of linear oscillators on their own."""

    scheme: str = field("imex", "a time step of linear waves", choices=SCHEMES)
    units: int = field(256, "hidden units, or places of a ring", least=1)
    blocks: int = field(2, _BLOCKS, least=1, bits=12)


@dataclasses.dataclass(frozen=True)
class Examples(base.Eval):
    """How much is scored of data that are drawn."""

    num_examples: int = field(500, "sequences of the evaluation", least=1)


@dataclasses.dataclass(frozen=True)
class Sequences(Config):
    """A recurrent network that remembers."""

    conv: str = field(
        "auto", "implementation of the coupling", choices=coupling.IMPLEMENTATIONS
    )


@dataclasses.dataclass(frozen=True)
class Solvable(Sequences):
    """A task that can be solved without an error."""

    stop_when_solved: bool = field(False, "end training when the task is solved")


MODELS = {
    "wrnn": WaveRNN(channels=16, coupling_init="shift", input_init="single"),
    "irnn": IdentityRNN(),
    "cornn": CoRNN(),
    "nwm2d": NWM(channels=16),
    "nwm1d": NWM(),
    "uncoupled": Uncoupled(),
    "lwm2d": LWM(),
    "lwm1d": LWM(grid=(1, 16)),
    "linoss": LinOSS(),
}

_EXAMPLES = Examples(every=100, batch_size=250)
_COPY = Solvable(
    task="copy",
    batch_size=128,
    num_steps=60_000,
    checkpoint_every=1_000,
    optimizer=Optimizer(learning_rate=1e-3),
    data=Copy("copy"),
    eval=_EXAMPLES,
)
_ADDING = replace(
    _COPY,
    task="adding",
    data=Memory("adding", T=100),
    eval=replace(_EXAMPLES, num_examples=1_000),
)
_SMNIST = Sequences(
    task="classification",
    batch_size=128,
    num_steps=120 * 446,
    checkpoint_every=500,
    # To a tenth after 100 of 120 epochs.
    optimizer=Optimizer(learning_rate=1e-4, schedule="step", drop_every=5 / 6),
    data=Images("mnist"),
    eval=base.Eval(every=500, batch_size=500),
)
_PSMNIST = _SMNIST.changed({"data.permute": True, "num_steps": 120 * 445})
_NSCIFAR10 = replace(
    _SMNIST,
    batch_size=256,
    num_steps=120 * 183,
    data=Images("cifar10", length=1_000),
)
_EPOCHS_250 = {"optimizer.drop_every": 100 / 250}
# 475 updates of 120 images are just an epoch of 57,000.
_COUPLED = {
    "batch_size": 120,
    "num_steps": 120 * 475,
    "optimizer.learning_rate": 2.1e-3,
}
_COUPLED_PERMUTED = _COUPLED | {
    "optimizer.learning_rate": 5.4e-3,
    "model.dt": 0.076,
    "model.gamma": 0.4,
    "model.alpha": 8.0,
}
_HUNDRED = {"model.units": 100}
_NORMAL = _HUNDRED | {"model.input_init": "normal"}

# Of every config the task, the model and what differs from them.
_PLAIN: dict[str, tuple[Config, str, dict[str, Any]]] = {
    "copy_wrnn": (_COPY, "wrnn", _HUNDRED | {"model.channels": 6}),
    "copy_irnn": (_COPY, "irnn", _NORMAL),
    # What was best is not published for the rest: values that work.
    "adding_wrnn": (
        _ADDING,
        "wrnn",
        _HUNDRED | {"model.channels": 27, "optimizer.clip": 1.0},
    ),
    "adding_irnn": (_ADDING, "irnn", _NORMAL | {"optimizer.clip": 10.0}),
    "smnist_wrnn": (_SMNIST, "wrnn", {}),
    "smnist_irnn": (_SMNIST, "irnn", {"optimizer.clip": 1.0}),
    "psmnist_wrnn": (_PSMNIST, "wrnn", {}),
    "psmnist_irnn": (
        _PSMNIST,
        "irnn",
        _EPOCHS_250 | {"num_steps": 250 * 445, "optimizer.clip": 1.0},
    ),
    "nscifar10_wrnn": (_NSCIFAR10, "wrnn", {}),
    "nscifar10_irnn": (
        _NSCIFAR10,
        "irnn",
        _EPOCHS_250 | {"num_steps": 250 * 183, "model.units": 529},
    ),
}
for _model in ("cornn", "nwm2d", "nwm1d", "uncoupled"):
    _PLAIN[f"smnist_{_model}"] = (_SMNIST, _model, _COUPLED)
    _PLAIN[f"psmnist_{_model}"] = (_PSMNIST, _model, _COUPLED_PERMUTED)
_LINEAR_WAVES = {
    "optimizer.learning_rate": 1e-3,
    "optimizer.schedule": "cosine",
    "optimizer.clip": 1.0,
}
# Images need no nonlinearity before their end: one block, which is read there.
_ONE_BLOCK = _LINEAR_WAVES | {"model.blocks": 1, "num_steps": 20 * 446}
_PLAIN |= {
    "smnist_lwm2d": (_SMNIST, "lwm2d", _ONE_BLOCK),
    "smnist_linoss": (_SMNIST, "linoss", _ONE_BLOCK),
    "psmnist_lwm2d": (_PSMNIST, "lwm2d", _ONE_BLOCK),
    "psmnist_linoss": (_PSMNIST, "linoss", _ONE_BLOCK),
    "nscifar10_lwm2d": (_NSCIFAR10, "lwm2d", _ONE_BLOCK | {"num_steps": 20 * 183}),
    "copy_lwm1d": (_COPY, "lwm1d", _LINEAR_WAVES),
    "copy_linoss": (_COPY, "linoss", _LINEAR_WAVES),
    "adding_lwm1d": (_ADDING, "lwm1d", _LINEAR_WAVES),
    "adding_linoss": (_ADDING, "linoss", _LINEAR_WAVES),
}

# The learning rate and the clip that the paper found best for copying, by T.
_BEST: dict[str, dict[int, tuple[float, float]]] = {
    "copy_wrnn": {
        0: (1e-3, 1.0),
        10: (1e-3, 0.0),
        30: (1e-3, 0.0),
        80: (1e-3, 1.0),
        480: (1e-4, 1.0),
    },
    "copy_irnn": {
        0: (1e-3, 10.0),
        10: (1e-3, 1.0),
        30: (1e-4, 1.0),
        80: (1e-4, 1.0),
        480: (1e-4, 10.0),
    },
}


class Copying(Definition):
    """Copying, of which the paper found what is best by T.

    A T in the argument, or the nearest one that is known, chooses the learning rate and
    the clip.
    """

    def __call__(self, argument: str = "") -> ConfigDict:
        """Returns a locked config, see `Definition`."""
        plain = self.plain
        for name, text in grammar.parse(argument)[1]:
            if SHORT.get(name, name) == "data.T":
                plain = best(plain, grammar.coerce(text, _length(plain), name))
        return Definition(plain, self.changes, self.short)(argument)


def best(plain: Config, length: int) -> Config:
    """Returns a config of copying with what was best at the nearest T."""
    known = _BEST[plain.name]
    rate, clip = known[min(known, key=lambda T: abs(T - length))]
    return plain.changed({"optimizer.learning_rate": rate, "optimizer.clip": clip})


def _length(plain: Config) -> int:
    assert isinstance(plain.data, Memory)  # as copying has it
    return plain.data.T


def _define(name: str, task: Config, model: str, changes: dict[str, Any]) -> Definition:
    network = replace(MODELS[model], name=model)
    plain = replace(task, name=name, model=network).changed(changes)
    if name in _BEST:
        return Copying(best(plain, _length(plain)), budgets.presets, SHORT)
    return Definition(plain, budgets.presets, SHORT)


#: All configs by name.
CONFIGS = {name: _define(name, *parts) for name, parts in _PLAIN.items()}

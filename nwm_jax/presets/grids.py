"""The grids of hyper-parameters that were searched for the wave RNN's paper.

Those of the reference program of arXiv:2309.08045, in the words of our configs: its
lengths of copying are the paper's, and what is a learning rate of -0.01 there is 0.01.
"""

import itertools
from typing import Any

from nwm_jax.errors import unknown

_RATES = (1e-2, 1e-3, 1e-4)
_COPY = {
    "optimizer.learning_rate": _RATES,
    "data.T": (0, 10, 30, 80, 480),
    "optimizer.clip": (0.0, 1.0, 10.0),
}
_ADDING = {
    "optimizer.learning_rate": _RATES,
    "data.T": (100, 200, 400, 700, 1000),
    "optimizer.clip": (0.0, 1.0, 10.0, 100.0, 1000.0),
}
_PSMNIST = {
    "optimizer.learning_rate": (1e-3, 1e-4, 1e-5),
    "optimizer.clip": (0.0, 1.0, 10.0, 100.0, 1000.0),
    "optimizer.drop_factor": (0.3, 0.1),
}
_PERCEPTRON = {"model.readout_hidden": (100,)}

#: For each experiment, values of dotted fields, of which all combinations are run.
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "copy_wrnn": _COPY,
    "copy_irnn": _COPY
    | {
        "model.coupling_init": ("identity", "random"),
        "model.units": (100, 625),
        "model.activation": ("relu", "tanh"),
    },
    "adding_wrnn": _ADDING,
    "adding_irnn": _ADDING,
    "smnist_wrnn": _PERCEPTRON
    | {
        "model.channels": (32,),
        "model.units": (169, 324),
        "optimizer.drop_factor": (0.3,),
    },
    "smnist_irnn": _PERCEPTRON
    | {
        "model.units": (256, 529),
        "optimizer.clip": (0.0,),
        "optimizer.drop_factor": (0.3, 0.1),
    },
    # Drops after every 40 or 100 epochs.
    "psmnist_wrnn": _PSMNIST | {"optimizer.drop_every": (1 / 3, 5 / 6)},
    "psmnist_irnn": _PSMNIST | {"optimizer.drop_every": (0.16, 0.4)},
    "nscifar10_wrnn": {
        "model.units": (144, 256),
        "optimizer.learning_rate": (1e-3, 1e-4, 1e-5),
    },
    "nscifar10_irnn": {
        "model.units": (144, 256, 529, 1024),
        "optimizer.learning_rate": (1e-3, 1e-4, 1e-5),
    },
}


def sweep(name: str) -> list[dict[str, Any]]:
    """Gives all combinations of a grid.

    Args:
      name: a key of `GRIDS`.

    Returns:
      For each run the values of its dotted fields.

    Raises:
      UserError: no grid of that name.
    """
    if name not in GRIDS:
        raise unknown("grid", name, GRIDS)
    fields = GRIDS[name]
    return [
        dict(zip(fields, values, strict=True))
        for values in itertools.product(*fields.values())
    ]

"""The runs of two papers: grids of hyper-parameters, and lists of seeds.

The grids are those of the reference program of arXiv:2309.08045, in the words of our
configs: its lengths of copying are the paper's, and what is a learning rate of -0.01
there is 0.01. The seeds are those of arXiv:2502.06034, which differ from one readout,
depth or width to the next.
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

_READOUTS = ("fft", "last", "linear", "max_time", "mean_time")


def _seeds(field: str, first: dict[Any, int], count: int = 10) -> list[dict[str, Any]]:
    """Returns `count` runs in a row of seeds for every value of a field."""
    return [
        {field: value, "seed": seed + i}
        for value, seed in first.items()
        for i in range(count)
    ]


def _recurrent(starts: tuple[int, ...]) -> list[dict[str, Any]]:
    return _seeds("model.readout", dict(zip(_READOUTS, starts, strict=True)))


def _convolutional(base: int) -> list[dict[str, Any]]:
    starts = {2: 0, 4: 10, 8: 100, 16: 200, 32: 300}
    return _seeds("model.depth", {depth: base + i for depth, i in starts.items()})


#: For each experiment of segmentation the published runs.
SEEDS: dict[str, list[dict[str, Any]]] = {
    "tetrominoes_nwm": _recurrent((2000, 2100, 2200, 2300, 2400)),
    "mnist_nwm": _recurrent((3000, 3100, 3200, 3300, 3400)),
    "tetrominoes_convlstm": _recurrent((5000, 5010, 5100, 5200, 5300)),
    "mnist_convlstm": _recurrent((2620, 2630, 2720, 2820, 2920)),
    "tetrominoes_cnn": _convolutional(7500),
    "mnist_cnn": _convolutional(8500),
    "multimnist_nwm": _seeds("model.readout", {"linear": 1040}, 16),
    "multimnist_unet": [
        *_seeds("model.width", {2: 400, 3: 410, 4: 420, 5: 430}),
        *_seeds("model.width", {2: 3400, 3: 3410, 4: 3420, 5: 3430}, 2),
    ],
}


def sweep(name: str) -> list[dict[str, Any]]:
    """Returns all combinations of a grid, or the published runs of an experiment.

    Args:
      name: a key of `GRIDS` or `SEEDS`.

    Returns:
      For each run the values of its dotted fields; of `SEEDS` also "seed".

    Raises:
      UserError: no grid of that name.
    """
    if name in SEEDS:
        return [dict(run) for run in SEEDS[name]]
    if name not in GRIDS:
        raise unknown("grid", name, [*GRIDS, *SEEDS])
    fields = GRIDS[name]
    return [
        dict(zip(fields, values, strict=True))
        for values in itertools.product(*fields.values())
    ]

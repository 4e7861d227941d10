"""Experiments of waves that integrate space: a dataset of shapes, a model, a budget.

A plain config is the paper's (arXiv:2502.06034): 300 epochs of Adam at 1e-3 in batches of
64; of the polygons, whose settings in the paper are not published, the same on images of
our own.
"""

import dataclasses
from dataclasses import replace
from typing import Any

from nwm_jax.config import base
from nwm_jax.config.base import Config, Model, Optimizer
from nwm_jax.config.definition import Definition, Presets
from nwm_jax.config.fields import field
from nwm_jax.core.readouts import READOUTS

#: What an argument may say for short.
SHORT = {
    "readout": "model.readout",
    "depth": "model.depth",
    "width": "model.width",
    "T": "model.num_steps",
}


@dataclasses.dataclass(frozen=True)
class Images(base.Data):
    """Images with a class for every pixel."""

    num_train: int = field(10_000, "images to train on; 0 of MNIST: all", least=0)
    num_valid: int = field(1_000, "images to choose a checkpoint by", least=0)
    num_test: int = field(1_000, "images to test on; 0 of MNIST: all", least=0)


@dataclasses.dataclass(frozen=True)
class Drawn(base.Seeded, base.Cached, Images):
    """Images that are drawn on a square canvas."""

    side: int = field(64, "pixels of the canvas along each axis", least=1)


@dataclasses.dataclass(frozen=True)
class Tetrominoes(Drawn):
    """Tetrominoes of several colours."""

    cell: int = field(7, "pixels of a square of a tetromino", least=2)


@dataclasses.dataclass(frozen=True)
class Polygons(Drawn):
    """Polygons, classified by their number of corners."""

    corners: tuple[int, ...] = field((3, 4, 5, 6), "numbers of corners: the classes")
    most: int = field(1, "polygons of an image, at most", least=1)
    radius: tuple[float, float] = field((6.0, 12.0), "least and largest radius, pixels")
    equal_area: bool = field(False, "areas independent of the number of corners")


@dataclasses.dataclass(frozen=True)
class Digits(base.Files):
    """Images that are made of digits."""

    digits: str = field("mnist", "whose digits", choices=("mnist", "sklearn"))


@dataclasses.dataclass(frozen=True)
class MNIST(Digits, Images):
    """Enlarged digits."""

    zoom: int = field(2, "how many times larger than the original", least=1)


@dataclasses.dataclass(frozen=True)
class MultiMNIST(Digits, Drawn):
    """Several digits on a canvas."""


@dataclasses.dataclass(frozen=True)
class UNet(Model):
    """A U-Net."""

    width: int = field(2, "channels of hidden convolutions", least=1)


@dataclasses.dataclass(frozen=True)
class Pixels(UNet):
    """A network that ends with a perceptron of every pixel."""

    width: int = field(16, "channels of hidden convolutions", least=1)
    channels: int = field(2, "channels of the hidden state", least=1)
    units: int = field(256, "width of the perceptron's hidden layers", least=1)
    hidden_layers: int = field(3, "of the perceptron", least=0, bits=12)


@dataclasses.dataclass(frozen=True)
class ConvLSTM(Pixels):
    """A recurrent network whose time series at every pixel are read."""

    num_steps: int = field(20, "time steps", least=1)
    readout: str = field("linear", "of a pixel's time series", choices=READOUTS)


@dataclasses.dataclass(frozen=True)
class NWM(ConvLSTM):
    """A sheet of oscillators."""

    num_steps: int = field(100, "time steps", least=1)
    dt: float = field(0.1, "length of a time step")


@dataclasses.dataclass(frozen=True)
class CNN(Pixels):
    """Convolutions."""

    depth: int = field(8, "convolutions", least=2, bits=12)
    # 49 of each of two channels: the original's T // 2 - 1.
    features: int = field(98, "of a pixel, that the perceptron sees", least=1)
    he: bool = field(False, "He's first weights")


MODELS = (
    NWM("nwm"),
    ConvLSTM("convlstm"),
    CNN("cnn"),
    UNet("unet"),
)
# A dataset and the whole batches of 64 in one of its epochs.
DATASETS: tuple[tuple[Images, int], ...] = (
    (Tetrominoes("tetrominoes", seed=42), 156),
    (MNIST("mnist", num_train=0, num_valid=0, num_test=0), 796),
    (MultiMNIST("multimnist", side=128, seed=50), 156),
    (Polygons("polygons", num_train=2_000, num_valid=300, num_test=300, side=32), 31),
)
_EPOCHS = 300


def _plain(data: base.Data, epoch: int, model: Model) -> Config:
    """Returns the paper's protocol."""
    if isinstance(data, MNIST) and model.name == "unet":
        data = replace(data, zoom=4)  # sides that can be halved four times
    if isinstance(data, MultiMNIST) and isinstance(model, ConvLSTM):
        model = replace(model, channels=16, units=32, hidden_layers=5)
    return Config(
        name=f"{data.name}_{model.name}",
        task="segmentation",
        batch_size=64,
        num_steps=_EPOCHS * epoch,
        checkpoint_every=epoch,
        remat=20,  # of 100 steps five states are kept
        optimizer=Optimizer(learning_rate=1e-3),
        data=data,
        model=model,
        eval=base.Eval(every=epoch, batch_size=50),
    )


# For two CPU cores: small images, half the steps in time, a narrow perceptron.
_LAPTOP = {
    "batch_size": 32,
    "num_steps": 2_000,
    "checkpoint_every": 250,
    "eval.every": 125,
    "eval.batch_size": 100,
}
_LAPTOP_DATA: dict[str, dict[str, Any]] = {
    "tetrominoes": {
        "data.side": 32,
        "data.cell": 3,
        "data.num_train": 4_000,
        "data.num_valid": 300,
        "data.num_test": 500,
    },
    "mnist": {
        "data.zoom": 1,
        "data.num_train": 10_000,
        "data.num_valid": 500,
        "data.num_test": 1_000,
    },
    "multimnist": {
        "data.side": 64,
        "data.num_train": 4_000,
        "data.num_valid": 200,
        "data.num_test": 500,
    },
    "polygons": {"data.num_train": 4_000, "data.num_test": 500},
}
_LAPTOP_MODEL: dict[str, dict[str, Any]] = {
    "nwm": {"model.num_steps": 50, "model.channels": 2, "model.units": 64},
    "convlstm": {"model.channels": 2, "model.units": 64},
    "cnn": {"model.units": 64},
    "unet": {},
}

_SMOKE = {
    "batch_size": 8,
    "num_steps": 20,
    "log_every": 10,
    "checkpoint_every": 10,
    "eval.every": 10,
    "eval.batch_size": 10,
}
_SMOKE_DATA: dict[str, dict[str, Any]] = {
    "tetrominoes": {"data.side": 32, "data.cell": 3},
    # The digits that come with scikit-learn, of 8 x 8 pixels.
    "mnist": {"data.digits": "sklearn", "data.zoom": 4},
    "multimnist": {"data.digits": "sklearn", "data.side": 64},
    "polygons": {},
}
_SMOKE_MODEL: dict[str, dict[str, Any]] = {
    "nwm": {"model.num_steps": 10, "model.channels": 2, "model.units": 16},
    "convlstm": {"model.num_steps": 6, "model.channels": 2, "model.units": 16},
    "cnn": {"model.depth": 2, "model.units": 16},
    "unet": {},
}


def presets(plain: Config) -> Presets:
    """Returns the presets of a plain config.

    - paper: no change.
    - laptop: for two CPU cores: smaller images, fewer time steps, a narrower perceptron,
      2,000 updates.
    - smoke: some seconds; shows that everything runs, not that it learns.
    """
    data, model = plain.data.name, plain.model.name
    laptop = _LAPTOP | _LAPTOP_DATA.get(data, {}) | _LAPTOP_MODEL.get(model, {})
    few = {f"data.num_{split}": 20 for split in ("train", "valid", "test")}
    smoke = _SMOKE | few | _SMOKE_DATA.get(data, {}) | _SMOKE_MODEL.get(model, {})
    if data == "mnist" and model == "unet":
        # 56 and 28 cannot be halved four times; 112 can.
        laptop |= {"data.zoom": 4}
    return {"paper": {}, "laptop": laptop, "smoke": smoke}


#: All configs by name: every dataset with every model.
CONFIGS = {
    plain.name: Definition(plain, presets, SHORT)
    for plain in (_plain(*data, model) for data in DATASETS for model in MODELS)
}

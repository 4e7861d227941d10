"""What the fields of segmentation configs mean, and their ranges."""

from typing import Any

from nwm_jax.config.checks import Field
from nwm_jax.core import readouts
from nwm_jax.experiments.segmentation import configs

FIELDS = {
    "data.num_train": Field("images to train on; 0 of MNIST: all", least=0),
    "data.num_valid": Field("images to choose a checkpoint by", least=0),
    "data.num_test": Field("images to test on; 0 of MNIST: all", least=0),
    "data.digits": Field("whose digits", choices=configs.DIGITS),
    "data.side": Field("pixels of the canvas along each axis", least=1),
    "data.cell": Field("pixels of a square of a tetromino", least=2),
    "data.zoom": Field("how many times larger than the original", least=1),
    "data.most": Field("polygons of an image, at most", least=1),
    "data.corners": Field("numbers of corners: the classes"),
    "data.radius": Field("least and largest radius, pixels"),
    "data.equal_area": Field("areas independent of the number of corners"),
    "model.readout": Field("of a pixel's time series", choices=readouts.READOUTS),
    "model.num_steps": Field("time steps", least=1),
    "model.dt": Field("length of a time step"),
    "model.channels": Field("channels of the hidden state", least=1),
    "model.width": Field("channels of hidden convolutions", least=1),
    "model.units": Field("width of the perceptron's hidden layers", least=1),
    "model.hidden_layers": Field("of the perceptron", least=0),
    "model.depth": Field("convolutions", least=2),
    "model.features": Field("of a pixel, that the perceptron sees", least=1),
    "model.he": Field("He's first weights"),
}


def check(flat: dict[str, Any]) -> None:
    """Checks nothing more: no field depends on another."""
    del flat

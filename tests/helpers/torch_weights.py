"""State dicts of the PyTorch originals with weights that a formula fills."""

import numpy as np

SMNIST = {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7}
PSMNIST = {"dt": 0.076, "gamma": 0.4, "epsilon": 8.0}


def filled(**shapes):
    """Returns arrays by name: entry e of number k is 0.3 sin(0.7 e + 0.31 k + 0.2)."""
    return {
        name.replace("__", "."): 0.3
        * np.sin(0.7 * np.arange(np.prod(shape)) + 0.31 * k + 0.2).reshape(shape)
        for k, (name, shape) in enumerate(shapes.items())
    }


def readout(outputs, width):
    """Returns the shapes of the layer behind a cell."""
    return {"readout__weight": (outputs, width), "readout__bias": (outputs,)}


def cornn(units=3, outputs=2, inputs=1):
    """Returns a coupled oscillatory RNN with one matrix for input and state."""
    return filled(
        cell__i2h__weight=(units, inputs + 2 * units),
        cell__i2h__bias=(units,),
        **readout(outputs, units),
    )


def nwm(channels=1, kernel=(3, 3), inputs=1, outputs=2):
    """Returns a wave machine of 3 x 3 cells."""
    cells = 9 * channels
    convolution = {"weight": (channels, channels, *kernel), "bias": (channels,)}
    return filled(
        cell__Wx__weight=(cells, inputs),
        cell__Wx__bias=(cells,),
        **{f"cell__Wz__{name}": shape for name, shape in convolution.items()},
        **{f"cell__Wy__{name}": shape for name, shape in convolution.items()},
        **readout(outputs, cells),
    )


def uncoupled():
    """Returns four oscillators that know nothing of each other."""
    return filled(
        cell__Wz=(1,),
        cell__Wy=(1,),
        cell__Wx__weight=(4, 1),
        cell__Wx__bias=(4,),
        **readout(2, 4),
    )


def wrnn(inputs=2, outputs=1):
    """Returns two rings of four; entry j of every array is 0.3 sin(j + 1)."""
    shapes = {
        "cell.Wx.weight": (8, inputs),
        "cell.Wx.bias": (8,),
        "cell.Wy.weight": (2, 2, 3),
        "cell.Wy.bias": (2,),
        "readout.weight": (outputs, 8),
        "readout.bias": (outputs,),
    }
    return {
        name: 0.3 * np.sin(np.arange(1, np.prod(shape) + 1)).reshape(shape)
        for name, shape in shapes.items()
    }

"""State dicts of the original segmentation models filled by rule, and images for them.

Number j of tensor k is ``2 r / 1008 - 1`` with ``r = (31 j² + 7 j + 101 k + 17) mod
1009``, then scaled; the original modules were run with the same weights.
"""

import itertools

import numpy as np

LAPLACIAN = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])


def raw(shape, k):
    j = np.arange(np.prod(shape), dtype=np.int64)
    return (2 * ((31 * j**2 + 7 * j + 101 * k + 17) % 1009) / 1008 - 1).reshape(shape)


def fill(shapes):
    """{name: shape} in the order of the rule -> {name: float64 array}."""
    arrays = {}
    for k, (name, shape) in enumerate(shapes.items()):
        if name.endswith("Wy.weight"):
            diagonal = np.eye(shape[0])[:, :, None, None]
            arrays[name] = 0.05 * raw(shape, k) + diagonal * LAPLACIAN
        elif len(shape) == 1:
            arrays[name] = 0.1 * raw(shape, k)
        else:
            arrays[name] = raw(shape, k) * np.sqrt(6 / np.prod(shape[1:]))
    return arrays


def images(batch, channels, side):
    """``[B, H, W, C]``."""
    b, i, j, c = np.ogrid[:batch, :side, :side, :channels]
    return 0.5 + 0.5 * np.sin(1.1 * b + 0.7 * c + 0.5 * i - 0.3 * j)


def stack(name, sizes, kernel=3):
    shapes = {}
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        shapes[f"{name}.{2 * i}.weight"] = (after, before, kernel, kernel)
        shapes[f"{name}.{2 * i}.bias"] = (after,)
    return shapes


def perceptron(name, sizes):
    shapes = stack(name, sizes)
    return {key: shape[:2] for key, shape in shapes.items()}


def nwm(features, hidden=(256, 256, 256), channels=2, width=4, inputs=3, steps=10):
    c = "classifier"
    return (
        perceptron(f"{c}.fc_readout", [features, *hidden, 6])
        | stack(f"{c}.omega_encoder", [inputs, width, width, channels])
        | stack(f"{c}.alpha_encoder", [inputs, width, width, channels])
        | stack(f"{c}.hy_encoder", [inputs, width, width, width, channels])
        | {f"{c}.cell.Wy.weight": (channels, channels, 3, 3)}
        | {f"{c}.fc_time.weight": (steps // 2 + 1, steps)}
    )


def convlstm(features, channels=2, width=4, inputs=3, steps=6):
    c = "classifier"
    cell = f"{c}.recurrent_cell"
    return (
        perceptron(f"{c}.fc_readout", [features, 256, 256, 256, 6])
        | stack(f"{c}.hy_encoder", [inputs, width, width, width, channels])
        | stack(f"{c}.hz_encoder", [inputs, width, width, channels])
        | stack(f"{c}.hc_encoder", [inputs, width, width, channels])
        | {f"{cell}.cell.conv.weight": (4 * channels, 2 * channels, 3, 3)}
        | {f"{cell}.cell.conv.bias": (4 * channels,)}
        | perceptron(f"{cell}.transform_hidden", [channels, 2 * channels, channels])
        | {f"{c}.fc_time.weight": (steps // 2 + 1, steps)}
    )


def cnn(depth=4, width=4, inputs=3):
    sizes = [inputs, *[width] * (depth - 1), 2]
    place = f"encoder.{2 * depth}"
    return (
        stack("encoder", sizes)
        | {f"{place}.weight": (98, 2, 1, 1), f"{place}.bias": (98,)}
        | perceptron("readout", [98, 256, 256, 256, 6])
    )


def unet(width=2, inputs=1, classes=11):
    def double(name, before, after):
        shapes = {}
        for i, channels in enumerate((before, after)):
            shapes[f"{name}.{3 * i}.weight"] = (after, channels, 3, 3)
            shapes[f"{name}.{3 * i + 1}.weight"] = (after,)
            shapes[f"{name}.{3 * i + 1}.bias"] = (after,)
        return shapes

    shapes = double("inc.double_conv", inputs, width)
    for i in range(4):
        name, fine = f"down{i + 1}.maxpool_conv.1.double_conv", width * 2**i
        shapes |= double(name, fine, 2 * fine)
    for i in range(4):
        name, coarse = f"up{i + 1}", width * 2 ** (4 - i)
        shapes[f"{name}.up.weight"] = (coarse, coarse // 2, 2, 2)
        shapes[f"{name}.up.bias"] = (coarse // 2,)
        shapes |= double(f"{name}.conv.double_conv", coarse, coarse // 2)
    shapes |= {"outc.conv.weight": (classes, width, 1, 1), "outc.conv.bias": (classes,)}
    return shapes


def fresh_unet(**sizes):
    """The filled U-Net with the initial statistics and affine maps of its norms."""
    arrays = fill(unet(**sizes))
    for name in [n for n in arrays if n.endswith(("1.weight", "4.weight"))]:
        if arrays[name].ndim > 1:
            continue
        channels = arrays[name].shape
        place = name.removesuffix("weight")
        arrays[name], arrays[f"{place}bias"] = np.ones(channels), np.zeros(channels)
        arrays[f"{place}running_mean"] = np.zeros(channels)
        arrays[f"{place}running_var"] = np.ones(channels)
        arrays[f"{place}num_batches_tracked"] = np.array(0)
    return arrays

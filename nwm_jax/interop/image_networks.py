"""The original's names of its image networks, and the sizes that their arrays show."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from nwm_jax.modules.autoencoder import NUM_BLOCKS

# Both networks' convolutions: block and index in the original's names, in the order of
# our lists.
_CONVS = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
_LAST = len(_CONVS) - 1

# "module:name" of the original -> path in our pytree of parameters.
NAMES = {
    "Decoder:h": "decoder/constant",
    "Decoder/~spatial_de_aggregation/LinearProjection:w": "decoder/project/kernel",
    "Decoder/~spatial_de_aggregation/LinearProjection:b": "decoder/project/bias",
    "Encoder/~spatial_aggregation/LinearProjection:w": "encoder/project/kernel",
    "Encoder/~spatial_aggregation/LinearProjection:b": "encoder/project/bias",
} | {
    f"{network}/~/block_{block}/~/conv_2d_{index}:{theirs}": (
        f"{network.lower()}/convs/{number}/{ours}"
    )
    for network in ("Encoder", "Decoder")
    for number, (block, index) in enumerate(_CONVS)
    for theirs, ours in (("w", "kernel"), ("b", "bias"))
}

Arrays = Mapping[str, np.ndarray]


def agreed(sizes: Iterable[int]) -> int:
    """The size that most arrays show, so that one misshapen array is found out."""
    counted = Counter(size for size in sizes if size)
    return counted.most_common(1)[0][0] if counted else 1


def features(arrays: Arrays) -> int:
    """Length of the encoder's output.

    Args:
      arrays: all arrays of the model by our paths, of the right ranks.
    """
    return agreed(
        arrays[f"encoder/{path}"].shape[-1]
        for path in (
            "project/bias",
            "project/kernel",
            f"convs/{_LAST}/bias",
            f"convs/{_LAST}/kernel",
        )
    )


def conv_channels(arrays: Arrays) -> int:
    """Channels of the hidden convolutions (arguments as for `features`)."""
    return agreed(
        arrays[f"{network}/convs/{number}/bias"].size
        for network in ("encoder", "decoder")
        for number in range(_LAST)
    )


def image_shape(arrays: Arrays) -> tuple[int, int, int]:
    """(H, W, C) of the images (arguments as for `features`).

    The original's images are square; others are known by the decoder's constant.
    """
    cells = arrays["encoder/project/kernel"].shape[0] // features(arrays)
    height, width = arrays["decoder/constant"].shape[:2]
    if height * width != cells:
        height = width = round(cells**0.5)
    shown = [
        arrays[f"decoder/convs/{_LAST}/{name}"].shape[-1] for name in ("kernel", "bias")
    ]
    # The encoder sees one frame, or several side by side.
    inputs = arrays["encoder/convs/0/kernel"].shape[-2]
    channels = agreed([size for size in shown if size and inputs % size == 0] or shown)
    return height * 2**NUM_BLOCKS, width * 2**NUM_BLOCKS, channels

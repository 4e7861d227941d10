"""Convolutional network without recurrence that segments polygons.

Reproduces: the polygons of arXiv:2502.06034, whose settings and scores are not
published: a protocol of our own.
Plain (`paper`): 9,300 steps (300 epochs) at batch 64, images of 32 x 32, 172,877
parameters; `depth=2` to 32: the receptive field is 2 depth + 1 pixels wide.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/polygons_cnn.py:laptop --workdir=runs/polygons_cnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("polygons_cnn", argument)

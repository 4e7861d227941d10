"""Convolutional network without recurrence that segments tetrominoes.

Reproduces: arXiv:2502.06034, foreground accuracy 0.237, 0.309, 0.736, 0.398 and 0.325
with `depth=2`, 4, 8, 16 and 32; 16 of 50 runs answered background everywhere.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 64 x 64, 173,422
parameters; `depth=2` to 32: the receptive field is 2 depth + 1 pixels wide.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/tetrominoes_cnn.py:laptop --workdir=runs/tetrominoes_cnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("tetrominoes_cnn", argument)

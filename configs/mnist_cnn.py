"""Convolutional network without recurrence that segments enlarged digits.

Reproduces: arXiv:2502.06034, foreground accuracy 0.138, 0.192, 0.421, 0.569 and 0.270
with `depth=2`, 4, 8, 16 and 32; 14 of 50 runs answered background everywhere.
Plain (`paper`): 238,800 steps (300 epochs) at batch 64, images of 56 x 56, 174,419
parameters; `depth=2` to 32: the receptive field is 2 depth + 1 pixels wide. MNIST is
downloaded once, unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (images of 28 x 28, 2,000 steps at batch 32), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/mnist_cnn.py:laptop --workdir=runs/mnist_cnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("mnist_cnn", argument)

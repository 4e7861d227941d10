"""Convolutional network without recurrence that segments several digits.

Reproduces: nothing that was published; beside the models of arXiv:2502.06034.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 128 x 128, 174,419
parameters; `depth=2` to 32: the receptive field is 2 depth + 1 pixels wide. MNIST is
downloaded once, unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (images of 64 x 64, 2,000 steps at batch 32), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/multimnist_cnn.py:laptop --workdir=runs/multimnist_cnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("multimnist_cnn", argument)

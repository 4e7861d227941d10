"""U-Net that segments enlarged digits.

Reproduces: nothing that was published; beside the models of arXiv:2502.06034.
Plain (`paper`): 238,800 steps (300 epochs) at batch 64, images of 112 x 112, 30,745
parameters; `width=2` to 5: channels at the finest scale. MNIST is downloaded once,
unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (images of 112 x 112, 2,000 steps at batch 32), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/mnist_unet.py:laptop --workdir=runs/mnist_unet
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("mnist_unet", argument)

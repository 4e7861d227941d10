"""U-Net that segments several digits.

Reproduces: arXiv:2502.06034, foreground accuracy 0.663 ± 0.273, 0.900 ± 0.104, 0.972
and 0.979 with `width=2`, 3, 4 and 5.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 128 x 128, 30,745
parameters; `width=2` to 5: channels at the finest scale. MNIST is downloaded once,
unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (images of 64 x 64, 2,000 steps at batch 32), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/multimnist_unet.py:laptop --workdir=runs/multimnist_unet
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("multimnist_unet", argument)

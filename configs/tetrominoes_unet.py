"""U-Net that segments tetrominoes.

Reproduces: nothing that was published; beside the models of arXiv:2502.06034.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 64 x 64, 30,766
parameters; `width=2` to 5: channels at the finest scale.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/tetrominoes_unet.py:laptop --workdir=runs/tetrominoes_unet
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("tetrominoes_unet", argument)

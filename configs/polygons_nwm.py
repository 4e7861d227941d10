"""Neural Wave Machine, a sheet of oscillators that segments polygons.

Reproduces: the polygons of arXiv:2502.06034, whose settings and scores are not
published: a protocol of our own.
Plain (`paper`): 9,300 steps (300 epochs) at batch 64, images of 32 x 32, 175,003
parameters; `readout=` last, mean_time, max_time, fft or linear.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/polygons_nwm.py:laptop --workdir=runs/polygons_nwm
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("polygons_nwm", argument)

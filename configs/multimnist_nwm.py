"""Neural Wave Machine, a sheet of oscillators that segments several digits.

Reproduces: arXiv:2502.06034, foreground accuracy 0.955 ± 0.006 over 12 seeds.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 128 x 128, 54,855
parameters; `readout=` last, mean_time, max_time, fft or linear. MNIST is downloaded
once, unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (images of 64 x 64, 2,000 steps at batch 32), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/multimnist_nwm.py:laptop --workdir=runs/multimnist_nwm
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("multimnist_nwm", argument)

"""Neural Wave Machine on a torus that learns to predict turning digits.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, sections 4.1 to 4.3,
figures 1, 3 (right), 4, 6, 7 and 8: travelling waves and a topographic map.
Plain (`paper`): 50 epochs of 375 updates at batch 128, SGD with momentum; a linear
encoder, 36 x 36 oscillators, a linear decoder, 3,052,894 parameters. MNIST is
downloaded once, unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (the same network at batch 16, with Adam and a larger first `dt`),
`:smoke` (scikit-learn's digits and 8 x 8 oscillators, some seconds: it shows that
everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/rotating_mnist_nwm2d.py:laptop --workdir=runs/rotating_mnist_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.topography import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("rotating_mnist_nwm2d", argument)

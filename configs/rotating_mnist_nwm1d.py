"""Neural Wave Machine on rings that learns to predict turning digits.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, section 4.4, figures 5
and 9: a wave that is put into the state turns the decoded digit.
Plain (`paper`): 50 epochs of 6,000 updates at batch 8, SGD with momentum; encoder and
decoder of three layers, 24 rings of 54 oscillators that hear one neighbour each,
76,354,684 parameters. MNIST is downloaded once, unless `data.path=...` names a folder
with its IDX files.
Presets: `:laptop` (linear encoder and decoder, batch 16, Adam, a larger first `dt`),
`:smoke` (scikit-learn's digits and 4 rings of 9, some seconds: it shows that everything
runs, not that it learns).

    python -m nwm_jax.train --config=configs/rotating_mnist_nwm1d.py:laptop --workdir=runs/rotating_mnist_nwm1d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.topography import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("rotating_mnist_nwm1d", argument)

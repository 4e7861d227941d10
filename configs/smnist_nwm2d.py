"""Neural Wave Machine (NWM 2D) that reads digits, pixels row by row.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, table 2, sequential
MNIST: 98.6 % correct.
Plain (`paper`): 57,000 steps (120 epochs) at batch 120, 16 sheets of 16 x 16
oscillators, 53,802 parameters (49,664 weights); the learning rate drops to a tenth
after every 100 epochs. MNIST is downloaded once, unless `data.path=...` names a folder
with its IDX files.
Presets: `:laptop` (images of 14 x 14, a smaller network, 10 epochs), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/smnist_nwm2d.py:laptop --workdir=runs/smnist_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.sequences import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("smnist_nwm2d", argument)

"""Identity RNN that reads digits, pixels row by row.

Reproduces: Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past
and Enhance Sequence Learning", ICLR 2024 (arXiv:2309.08045), table 2, sequential MNIST:
98.5 % correct.
Plain (`paper`): 53,520 steps (120 epochs) at batch 128, 256 units, 68,874 parameters
(68,352 weights); the learning rate drops to a tenth after every 100 epochs. MNIST is
downloaded once, unless `data.path=...` names a folder with its IDX files. The paper's
best learning rate and clip are not known; these are ours.
Presets: `:laptop` (images of 14 x 14, a smaller network, 10 epochs), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/smnist_irnn.py:laptop --workdir=runs/smnist_irnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.sequences import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("smnist_irnn", argument)

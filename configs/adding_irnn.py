"""Identity RNN that adds the two marked numbers of T.

Reproduces: Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past
and Enhance Sequence Learning", ICLR 2024 (arXiv:2309.08045), table 1: solved after
14,000 steps for T = 100, 30,000 for 400.
Plain (`paper`): 60,000 steps at batch 128, 100 units, 10,501 parameters (10,300
weights). The paper's best learning rate and clip are not known; these are ours. `T=400`
sets the length. Solved is a mean squared error of the 1,000 test sequences below 0.05.
Presets: `:laptop` (at most 20,000 steps, ends when solved), `:smoke` (some seconds: it
shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/adding_irnn.py:laptop,T=100 --workdir=runs/adding_irnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.sequences import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("adding_irnn", argument)

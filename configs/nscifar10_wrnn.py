"""Wave RNN that reads an image row by row, then 968 rows of noise.

Reproduces: Keller, Muller, Sejnowski & Welling, "Traveling Waves Encode the Recent Past
and Enhance Sequence Learning", ICLR 2024 (arXiv:2309.08045), table 3, noisy sequential
CIFAR-10: 55.0 % correct.
Plain (`paper`): 21,960 steps (120 epochs) at batch 256, 16 rings of 256 units, 439,066
parameters (434,944 weights); the learning rate drops to a tenth after every 100 epochs.
CIFAR-10 is not downloaded: `data.path=...` names its binary or Python archive, or the
folder that it unpacks to. The noise is the same for all images.
Presets: `:laptop` (8,192 images, 200 rows of noise, a smaller network), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/nscifar10_wrnn.py:laptop,data.path=cifar-10-binary.tar.gz --workdir=runs/nscifar10_wrnn
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.sequences import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("nscifar10_wrnn", argument)

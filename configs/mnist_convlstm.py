"""Convolutional LSTM on a torus that segments enlarged digits.

Reproduces: arXiv:2502.06034, foreground accuracy 0.786 ± 0.280 with `readout=linear`,
0.733 with `fft`, 0.316 ± 0.229 with `last`.
Plain (`paper`): 238,800 steps (300 epochs) at batch 64, images of 56 x 56, 151,467
parameters; `readout=` last, mean_time, max_time, fft or linear. MNIST is downloaded
once, unless `data.path=...` names a folder with its IDX files.
Presets: `:laptop` (images of 28 x 28, 2,000 steps at batch 32), `:smoke`
(scikit-learn's digits, some seconds: it shows that everything runs, not that it
learns).

    python -m nwm_jax.train --config=configs/mnist_convlstm.py:laptop --workdir=runs/mnist_convlstm
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("mnist_convlstm", argument)

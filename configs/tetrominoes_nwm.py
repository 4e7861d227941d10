"""Neural Wave Machine, a sheet of oscillators that segments tetrominoes.

Reproduces: arXiv:2502.06034, foreground accuracy 0.987 ± 0.004 with `readout=linear`,
0.983 with `fft`, 0.942 ± 0.058 with `last`.
Plain (`paper`): 46,800 steps (300 epochs) at batch 64, images of 64 x 64, 176,124
parameters; `readout=` last, mean_time, max_time, fft or linear.
Presets: `:laptop` (images of 32 x 32, 2,000 steps at batch 32), `:smoke` (some seconds:
it shows that everything runs, not that it learns).

    python -m nwm_jax.train --config=configs/tetrominoes_nwm.py:laptop --workdir=runs/tetrominoes_nwm
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.segmentation import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("tetrominoes_nwm", argument)

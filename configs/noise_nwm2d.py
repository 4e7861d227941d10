"""Neural Wave Machine on a torus that is shown noise: the control without structure.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, figure 2 (left).
Plain (`paper`): 18,750 updates at batch 128, SGD with momentum; a linear encoder, 36 x 36
oscillators, a linear decoder, 3,052,894 parameters.
Presets: `:laptop` (batch 16, 500 updates of Adam), `:smoke` (8 x 8, some seconds: it
shows that everything runs).

    python -m nwm_jax.train --config=configs/noise_nwm2d.py:laptop --workdir=runs/noise_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.topography import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("noise_nwm2d", argument)

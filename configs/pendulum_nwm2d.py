"""Neural Wave Machine on a torus (NWM 2D) that forecasts the pendulum.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, table 1, row Pendulum.
The paper's number is 110.9 x 1e-8 (`forward_extrapolation_l2_norm`, one seed).
Plain (`paper`): 500,000 steps at batch 32, a 23x23 torus of oscillators, 14,823,420
parameters; about 1.6 TFLOP a step, so this is a job for accelerators.
Presets: `:laptop` (a smaller network, made for two CPU cores), `:smoke` (half a minute:
it shows that everything runs, not that it learns), `:fair` and `:fair_laptop` (the same
frames and parameter counts for all models).
Measured with `:laptop` (4,000 steps at 8 a second, 9 minutes in all on two cores of an
Intel Xeon; 512 test windows, one seed): relative MSE 0.035, where the mean image has
0.082 and the last observed frame 0.16; see docs/results/README.md.

    python -m nwm_jax.train --config=configs/pendulum_nwm2d.py:laptop --workdir=runs/pendulum_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.forecasting import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("pendulum", "nwm2d", argument)

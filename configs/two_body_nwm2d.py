"""Neural Wave Machine on a torus (NWM 2D) that forecasts two bodies.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, table 1, row Two Body.
The paper's number is 1.9 x 1e-8 (`forward_extrapolation_l2_norm`, one seed).
Plain (`paper`): 500,000 steps at batch 32, a 23x23 torus of oscillators, 14,823,420
parameters; about 1.6 TFLOP a step, so this is a job for accelerators.
Presets: `:laptop` (a smaller network, made for two CPU cores), `:smoke` (half a minute:
it shows that everything runs, not that it learns), `:fair` and `:fair_laptop` (the same
frames and parameter counts for all models).
The result of `:laptop` has not been measured for this pair; what has been measured
stands in docs/results/README.md.

    python -m nwm_jax.train --config=configs/two_body_nwm2d.py:laptop --workdir=runs/two_body_nwm2d
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.forecasting import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("two_body", "nwm2d", argument)

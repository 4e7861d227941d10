"""Neural ODE trained both ways in time (ODE[TR]) that forecasts the spring.

Reproduces: Keller & Welling, "Neural Wave Machines", ICML 2023, table 1, row Spring.
The paper's number is 1.58 x 1e-8 (`forward_extrapolation_l2_norm`, one seed).
Plain (`paper`): 500,000 steps at batch 32, a vector field of 250 units on 32 latent
numbers, integrated by Dormand and Prince's adaptive method, trained forward and
backward in time, 705,687 parameters; about 1.3 TFLOP a step and the solver's
evaluations, so this is a job for accelerators.
Presets: `:laptop` (a smaller network, made for two CPU cores), `:smoke` (half a minute:
it shows that everything runs, not that it learns), `:fair` and `:fair_laptop` (the same
frames and parameter counts for all models).
The result of `:laptop` has not been measured for this pair; what has been measured
stands in docs/results/README.md.

    python -m nwm_jax.train --config=configs/spring_ode.py:laptop --workdir=runs/spring_ode
"""

from ml_collections import ConfigDict

from nwm_jax.experiments.forecasting import configs


def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    return configs.get_config("spring", "ode", argument)

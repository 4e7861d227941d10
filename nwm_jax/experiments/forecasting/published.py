"""The published numbers that runs are compared with."""

import math

from nwm_jax.experiments.forecasting import configs

SOURCE = "Keller & Welling, Neural Wave Machines, ICML 2023, table 1"

# `forward_extrapolation_l2_norm` in units of 1e-8 (`table_units` of an evaluation): the
# relative MSE divided by the 3,072 values of an image. AR is the LSTM, HGN is HGN++,
# ODE is ODE[TR].
_TABLE_UNITS = {
    "spring": (20.97, 1.58, 1.58, 2.52, 5.46, 1.45),
    "pendulum": (4208.0, 166.5, 166.0, 548.0, 110.9, 237.2),
    "two_body": (91.4, 5.0, 4.2, 2.0, 1.9, 0.9),
    "pennies": (126.3, 190.0, 119.3, 28.2, 47.2, 43.1),
    "double_pendulum": (3905.0, 1531.0, 1296.0, 1666.0, 2512.0, 2821.0),
}
# Measures that were published or follow from what was, and their unit in table units.
_FACTORS = {"table_units": 1.0, "relative_mse": 3072e-8}


def score(dataset: str, model: str, measure: str) -> float:
    """Returns a number of the published table.

    Args:
      dataset: name in configs, such as "two_body".
      model: name in configs, such as "nwm2d".
      measure: "table_units", or "relative_mse", which is 3,072e-8 of them.

    Returns:
      The number; NaN where none was published.
    """
    row = dict(zip(configs.TABLE[1], _TABLE_UNITS.get(dataset, ()), strict=False))
    return row.get(model, math.nan) * _FACTORS.get(measure, math.nan)

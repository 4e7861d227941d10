"""The published numbers."""

import math

import pytest

from nwm_jax.experiments.forecasting import published


def test_published_numbers():
    assert published.score("two_body", "nwm1d", "table_units") == 0.9
    assert published.score("double_pendulum", "ar", "table_units") == 3905.0
    # Relative MSE as the benchmark would report it without the second division.
    assert published.score("pendulum", "ar", "relative_mse") == pytest.approx(
        0.12926976
    )
    for name in (
        ("spring", "ar", "mse"),
        ("spring", "rgn", "table_units"),
        ("x", "ar", "mse"),
    ):
        assert math.isnan(published.score(*name))

"""Convolutions of XLA where the compiled ones are missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import native
from nwm_jax.modules import fallback


def lowered():
    kernel = jnp.ones((3, 3, 2, 2))
    layout = ("NHWC", "HWIO", "NHWC")

    def convolve(x):
        y = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=layout
        )
        return y.sum()

    return jax.jit(jax.grad(convolve)).lower(jnp.ones((2, 8, 8, 2)))


@pytest.mark.parametrize("options", [fallback.OPTIONS, {"xla_of_no_version": "1"}, {}])
def test_the_program_computes_the_same_also_if_an_option_is_unknown(options):
    gradient = fallback.compile_lowered(lowered(), options)(jnp.ones((2, 8, 8, 2)))
    np.testing.assert_allclose(gradient[0, 1, 1], [18, 18])


def test_convolutions_are_not_those_of_the_slow_library():
    assert "ynn" not in fallback.compile_lowered(lowered(), fallback.OPTIONS).as_text()


def test_options_are_for_cpus_that_lack_compiled_convolutions(monkeypatch):
    monkeypatch.setattr(native, "available", lambda: False)
    assert fallback.options() == fallback.OPTIONS
    monkeypatch.setattr(native, "available", lambda: True)
    assert fallback.options() == {}

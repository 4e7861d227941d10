"""The adaptive solver of neural ODEs."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_programs_of_the_adaptive_solver_can_be_kept(tmp_path):
    """JAX keeps none that calls Python, as diffrax's own checks would."""
    program = (
        "import jax; from nwm_jax.shell import cli; from nwm_jax.models import solvers;"
        "cli.enable_compilation_cache();"
        "solve = lambda y: solvers.integrate_adaptively(lambda y: -y, y, 0.1, 3);"
        "print(jax.jit(solve).lower(jax.numpy.ones((1, 2))).as_text())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "EQX_ON_ERROR"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"NWM_JAX_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stablehlo.while" in done.stdout and "callback" not in done.stdout

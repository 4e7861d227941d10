"""Analysis of travelling waves in any real array `[time, height, width]`.

NumPy in, NumPy out: a neural recording is as welcome as a hidden state. The code here
uses NumPy and SciPy alone.
"""

from nwm_jax.waves.phase import analytic_signal, phase
from nwm_jax.waves.velocity import (
    direction_coherence,
    phase_gradient,
    phase_speed,
    temporal_frequency,
    wave_velocity,
)

__all__ = [
    "analytic_signal",
    "direction_coherence",
    "phase",
    "phase_gradient",
    "phase_speed",
    "temporal_frequency",
    "wave_velocity",
]

"""Analysis of travelling waves in any real array `[time, height, width]`.

NumPy in, NumPy out: a neural recording is as welcome as a hidden state. The code here
uses NumPy and SciPy alone. `statistics(field)` gives the few numbers that describe a
field; `wave_signal(field, band=...)` the complex signal [time, height, width] that the
other functions take. Vectors are (row, column); missing channels are NaN.
"""

from nwm_jax.waves.activation import maximum_activating, time_of_maximum
from nwm_jax.waves.coherence import direction_coherence, gradient_coherence, synchrony
from nwm_jax.waves.correlation import (
    SpatialCorrelation,
    correlation_length,
    spatial_autocorrelation,
    temporal_autocorrelation,
)
from nwm_jax.waves.filters import band_pass, z_score
from nwm_jax.waves.fronts import Fronts, find_fronts
from nwm_jax.waves.generalized import generalized_signal, negative_epochs
from nwm_jax.waves.induced import roll_rings, slope
from nwm_jax.waves.phase import analytic_signal, phase
from nwm_jax.waves.pipeline import ORIGINAL_BAND, wave_signal
from nwm_jax.waves.plane_wave import PlaneWave, fit_plane_wave
from nwm_jax.waves.selectivity import (
    chance_same_label,
    cohens_d,
    orientation_step,
    same_label_fraction,
    selectivity_map,
)
from nwm_jax.waves.singularities import (
    RotatingWave,
    Singularities,
    find_singularities,
    fit_rotating_wave,
    pinwheels,
    winding_number,
)
from nwm_jax.waves.spectrum import Spectrum, space_time_spectrum
from nwm_jax.waves.summary import signal_statistics, statistics
from nwm_jax.waves.travelling import travelling_index
from nwm_jax.waves.velocity import (
    direction,
    phase_gradient,
    phase_speed,
    temporal_frequency,
    wave_velocity,
)

__all__ = [
    "ORIGINAL_BAND",
    "Fronts",
    "PlaneWave",
    "RotatingWave",
    "Singularities",
    "SpatialCorrelation",
    "Spectrum",
    "analytic_signal",
    "band_pass",
    "chance_same_label",
    "cohens_d",
    "correlation_length",
    "direction",
    "direction_coherence",
    "find_fronts",
    "find_singularities",
    "fit_plane_wave",
    "fit_rotating_wave",
    "generalized_signal",
    "gradient_coherence",
    "maximum_activating",
    "negative_epochs",
    "orientation_step",
    "phase",
    "phase_gradient",
    "phase_speed",
    "pinwheels",
    "roll_rings",
    "same_label_fraction",
    "selectivity_map",
    "signal_statistics",
    "slope",
    "space_time_spectrum",
    "spatial_autocorrelation",
    "statistics",
    "synchrony",
    "temporal_autocorrelation",
    "temporal_frequency",
    "time_of_maximum",
    "travelling_index",
    "wave_signal",
    "wave_velocity",
    "winding_number",
    "z_score",
]

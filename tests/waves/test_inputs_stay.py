"""No public function changes what it is given, whatever its dtype, order or memory."""

import inspect

import numpy as np
import pytest

from nwm_jax import waves
from tests.helpers import wave_fields

FIELD = wave_fields.plane_wave((0.4, -0.3), (80, 6, 7)) + 0.3 * wave_fields.noise(
    (80, 6, 7)
)
SIGNAL = waves.analytic_signal(FIELD)
VELOCITY = waves.wave_velocity(SIGNAL, boundary="open")
CALLS = {
    "analytic_signal": (FIELD,),
    "band_pass": (FIELD, (0.05, 0.2)),
    "correlation_length": (np.arange(9.0), 1 / np.arange(1.0, 10)),
    "direction": (VELOCITY,),
    "direction_coherence": (VELOCITY,),
    "find_fronts": (SIGNAL,),
    "find_singularities": (SIGNAL,),
    "fit_plane_wave": (SIGNAL,),
    "fit_rotating_wave": (SIGNAL,),
    "generalized_signal": (SIGNAL,),
    "gradient_coherence": (VELOCITY,),
    "negative_epochs": (SIGNAL,),
    "phase": (FIELD,),
    "phase_gradient": (SIGNAL,),
    "phase_speed": (waves.temporal_frequency(SIGNAL), VELOCITY),
    "signal_statistics": (SIGNAL,),
    "space_time_spectrum": (FIELD,),
    "spatial_autocorrelation": (FIELD,),
    "statistics": (FIELD,),
    "synchrony": (SIGNAL,),
    "temporal_autocorrelation": (FIELD,),
    "temporal_frequency": (SIGNAL,),
    "travelling_index": (SIGNAL,),
    "wave_signal": (FIELD,),
    "wave_velocity": (SIGNAL,),
    "winding_number": (SIGNAL,),
    "z_score": (FIELD,),
}
# Of other arrays than recordings, each tested where it is.
OTHERS = {
    *("chance_same_label", "cohens_d", "maximum_activating", "orientation_step"),
    *("pinwheels", "roll_rings", "same_label_fraction", "selectivity_map", "slope"),
    "time_of_maximum",
}


def test_every_function_is_here():
    public = {n for n in waves.__all__ if inspect.isfunction(getattr(waves, n))}
    assert public == set(CALLS) | OTHERS


def arrays(value, folder):
    """The same numbers in other dtypes, orders and a read-only memory map."""
    value = np.asarray(value)
    yield value.copy()
    yield value.astype(np.complex64 if value.dtype.kind == "c" else np.float32)
    yield np.asfortranarray(value)
    path = folder / "x.npy"
    np.save(path, value)
    yield np.load(path, mmap_mode="r")
    if value.dtype.kind == "f" and value.ndim == 3:
        yield np.round(100 * value).astype(np.int16)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_input_stays(name, tmp_path):
    first, *rest = CALLS[name]
    for value in arrays(first, tmp_path):
        before = np.array(value)
        others = [np.array(other) if np.ndim(other) else other for other in rest]
        if value.flags.owndata:
            value.flags.writeable = False
        getattr(waves, name)(value, *others)
        np.testing.assert_array_equal(value, before)

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
RESPONSES = wave_fields.noise((12, 6, 7))
CLASSES = np.arange(12) % 3
LABELS = np.arange(42).reshape(6, 7) % 4
SELECTIVE = LABELS > 0
ORIENTATION = np.pi * wave_fields.noise((6, 7))
# The arguments of each function; a dict of them is given by keyword.
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
    "chance_same_label": (LABELS, SELECTIVE),
    "cohens_d": (RESPONSES, CLASSES),
    "maximum_activating": (RESPONSES,),
    "orientation_step": (ORIENTATION,),
    "pinwheels": (ORIENTATION,),
    "roll_rings": (FIELD, 0.5, 3),
    "same_label_fraction": (LABELS, {"where": SELECTIVE}),
    "selectivity_map": (RESPONSES[:4],),
    "slope": (np.linspace(300.0, 800.0, 9) % 360,),
    "time_of_maximum": (FIELD, 20),
}
CALLABLE = {name for name in waves.__all__ if inspect.isfunction(getattr(waves, name))}


def test_every_public_function_has_a_case():
    assert set(CALLS) == CALLABLE


def forms(value, folder):
    """The same numbers in other dtypes, orders and a read-only memory map."""
    value = np.asarray(value)
    yield value.copy()
    if value.dtype.kind in "cf":
        yield value.astype(np.complex64 if value.dtype.kind == "c" else np.float32)
    elif value.dtype.kind == "i":
        yield value.astype(np.int32)
        yield value.astype(np.uint8)
    yield np.asfortranarray(value)
    path = folder / "x.npy"
    np.save(path, value)
    yield np.load(path, mmap_mode="r")
    if value.dtype.kind == "f" and value.ndim == 3:
        yield np.round(100 * value).astype(np.int16)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_inputs_stay(name, tmp_path):
    arguments, options = CALLS[name], {}
    if isinstance(arguments[-1], dict):
        *arguments, options = arguments
    arrays = [k for k, x in enumerate(arguments) if isinstance(x, np.ndarray)]
    assert arrays
    for k in arrays:
        for value in forms(arguments[k], tmp_path):
            given = list(arguments)
            given[k] = value
            before = [np.array(x) for x in given if isinstance(x, np.ndarray)]
            if value.flags.owndata:
                value.flags.writeable = False
            getattr(waves, name)(*given, **options)
            after = [x for x in given if isinstance(x, np.ndarray)]
            for x, y in zip(after, before, strict=True):
                np.testing.assert_array_equal(x, y)

"""What the fields of topography configs mean, and their ranges."""

from typing import Any

from nwm_jax.config import checks
from nwm_jax.config.checks import Field
from nwm_jax.core import coupling
from nwm_jax.data.topography.rotation import PERIOD
from nwm_jax.models import names

FIELDS = {
    "conv": Field("implementation of the coupling", choices=coupling.IMPLEMENTATIONS),
    "data.num_train": Field("images to train on", least=0),
    "data.num_valid": Field("images that are left out", least=0),
    "data.num_test": Field("images to test on", least=0),
    "data.num_frames": Field("frames of a training sequence, whole periods", least=1),
    "data.size": Field("pixels of an image along each axis", least=1),
    "data.wavelength": Field("of the gratings, pixels", above=0),
    "data.random_phase": Field("gratings start at any phase"),
    "model.grid": Field("oscillators, (height, width) or (rings, ring)"),
    "model.kernel_size": Field("odd width of the coupling", least=1),
    "model.state_norm": Field("standardise the state before it is decoded"),
    "model.dt": Field("length of a time step, between 0 and 1"),
    "model.kernel_fill": Field("first taps of the forcing; 0: drawn"),
    "model.encoder": Field("widths of the encoder's hidden layers"),
    "model.decoder": Field("widths of the decoder's hidden layers"),
    "model.start": Field("which frame comes first", choices=names.STARTS),
    "eval.num_examples": Field("test sequences", least=1),
    "eval.num_waves": Field("of these, whose waves are measured", least=1),
    "eval.num_frames": Field("frames of a test sequence, whole periods"),
}


def check(flat: dict[str, Any]) -> None:
    """Checks fields whose range is not an interval.

    Raises:
      UserError: the first mistake found, in one line with the field's name.
    """
    checks.grid(flat["model.grid"], flat["model.kernel_size"])
    for field in ("data.num_frames", "eval.num_frames"):
        if flat[field] < PERIOD or flat[field] % PERIOD:
            checks.refuse(
                field,
                flat[field],
                f"whole periods, a multiple of {PERIOD} frames: after the last frame the "
                "first one is predicted",
            )
    if not 0 < flat["model.dt"] < 1:
        checks.refuse("model.dt", flat["model.dt"], "between 0 and 1")
    for field in ("model.encoder", "model.decoder"):
        if any(type(width) is not int or width < 1 for width in flat[field]):
            checks.refuse(
                field, flat[field], "widths of layers, integers of at least 1"
            )
